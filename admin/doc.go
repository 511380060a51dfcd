// Package admin is the control plane: the second listener, on which people and
// programs look at what calls cost.
//
//	request
//	   │  log · recover · security headers      middleware.go, security.go
//	   │  CORS and cross-origin protection      security.go
//	   │  token or login cookie                 auth.go, session.go
//	   ▼
//	 routes ──► /                 newest calls, a page for people      page.go
//	        ├─► /calls/{id}       one call, and what can be decided    call.go
//	        ├─► /api/…            JSON API, described by /openapi.json usage.go, decide.go, audit.go, openapi.go
//	        │                   and of budgets                         budgets.go, decisions.go, explain.go, stop.go, alerts.go
//	        ├─► /api/export/…     files, streamed                      export.go, exportwrite.go
//	        ├─► /docs             the API, for people                  docs.go
//	        ├─► /login /logout    the token for a cookie               login.go
//	        ├─► /metrics          Prometheus
//	        └─► /healthz /readyz                                      health.go
//
// Everything needs the token, when one is set, except the paths that [openPaths]
// lists; a new route is closed until somebody opens it there.
//
// Handlers return errors. [Handler.fail] and [operation] render them: a problem
// document (RFC 9457) with "success": false for programs, a page for browsers.
//
// Amounts leave as JSON numbers with all their digits, unknown ones as null.
package admin
