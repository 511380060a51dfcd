// Package report writes the reports of weeks and months for people: as plain
// text, for chats and as the alternative of a mail, and as an HTML document for
// mail.
//
//	accounting.PeriodReport ──► Title   one line, the subject of a mail
//	                        ──► Text    lines of plain text
//	                        ──► HTML    one document: styles in its elements, no image, nothing loaded
//
// Both say the same in the same order. Amounts are rounded to cents here and
// nowhere else. Names come from API clients: in the text each is one short line,
// in the document it is escaped.
package report
