package openroutertest

import (
	"encoding/json"
	"testing"

	"pgregory.net/rapid"

	"github.com/shopspring/decimal"

	"bursar/accounting"
)

func TestCostsAreSpeltAsTheirForm(t *testing.T) {
	for _, c := range []struct {
		amount string
		form   CostForm
		want   literal
	}{
		{"0.00009", CostAsJavaScript, "0.00009"}, {"0.00000012", CostAsJavaScript, "1.2e-7"}, {"0.000001", CostAsJavaScript, "0.000001"},
		{"0", CostAsJavaScript, "0"}, {"3", CostAsJavaScript, "3"}, {"0.00000012", CostPlain, "0.00000012"},
		{"0.00009", CostExponent, "9e-5"}, {"120", CostExponent, "1.2e2"}, {"0", CostExponent, "0e0"},
		{"0.00009", CostCapital, "9E-5"}, {"0.00009", CostPadded, "0.00009000000"}, {"3", CostPadded, "3.000000"},
	} {
		if got := write(usd(c.amount), c.form); got != c.want {
			t.Errorf("%s in form %d is %s, want %s", c.amount, c.form, got, c.want)
		}
	}
}

func TestASpellingIsAJSONNumberOfTheSameAmount(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		d := decimal.New(rapid.Int64Range(0, 1e17).Draw(t, "coefficient"), rapid.Int32Range(-24, 3).Draw(t, "exponent"))
		form := CostForm(rapid.IntRange(0, int(CostPadded)).Draw(t, "form"))
		text := write(d, form)
		if back := accounting.ParseCost(string(text)); !json.Valid([]byte(text)) || !back.Known || !back.Value.Equal(d) {
			t.Fatalf("%s is spelt %s", d, text)
		}
	})
}

func TestAnAmountKeepsSeventeenDigits(t *testing.T) {
	for in, want := range map[string]string{
		"0.000497013333333333333333": "0.00049701333333333333", "0.00009": "0.00009",
		"123456789012345678.9": "123456789012345680", "0": "0",
	} {
		if got := significant(usd(in)); !got.Equal(usd(want)) {
			t.Errorf("%s becomes %s, want %s", in, got, want)
		}
	}
}

func TestEachKindOfTokenHasItsPrice(t *testing.T) {
	m := &Model{Pricing: Pricing{Prompt: usd("1"), Completion: usd("10"), CacheRead: usd("0.1"), CacheWrite: usd("2"), Request: usd("1000"),
		LongContext: &LongContext{MinPromptTokens: 100, Prompt: usd("3"), Completion: usd("30")}}}
	for _, c := range []struct {
		tokens tokens
		want   string
	}{
		{tokens{prompt: 7, completion: 2}, "1027"},
		{tokens{prompt: 7, cached: 2, cacheWrite: 1, completion: 2}, "1026.2"},
		{tokens{prompt: 100, completion: 1}, "1330"},
	} {
		if got := priceOf(m, c.tokens, decimal.Zero, &Behavior{}); !got.cost.Equal(usd(c.want)) || !got.upstream.Equal(got.cost) {
			t.Errorf("%+v cost %s, want %s", c.tokens, got.cost, c.want)
		}
	}
}

func TestStringsAreQuotedAsJSON(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := rapid.String().Draw(t, "s")
		var back string
		if err := json.Unmarshal(appendString(nil, s), &back); err != nil || back != string([]rune(s)) {
			t.Fatalf("%q is quoted %s: %v", s, appendString(nil, s), err)
		}
	})
}

func TestABillCannotBeWrittenTwice(t *testing.T) {
	var l ledger
	l.add(&record{bill: Bill{ID: "gen-1"}})
	defer func() {
		if recover() == nil {
			t.Error("the second bill was accepted")
		}
	}()
	l.add(&record{bill: Bill{ID: "gen-1"}})
}
