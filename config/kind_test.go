package config

import (
	"strings"
	"testing"

	"github.com/shopspring/decimal"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestByteSizesAreReadWithAndWithoutUnits(t *testing.T) {
	for text, want := range map[string]ByteSize{
		"0": 0, "1": 1, "1048576": 1 << 20, "8MiB": 8 << 20, "8 mib": 8 << 20, "4GiB": 4 << 30, "1KB": 1000, "1kib": 1024,
		"2GB": 2e9, "3TB": 3e12, "1TiB": 1 << 40, "12B": 12, " 7MB ": 7e6, "8388607TiB": 8388607 << 40,
	} {
		got, err := ParseByteSize(text)
		require.NoError(t, err, text)
		assert.Equal(t, want, got, text)
	}
	for _, text := range []string{"", "B", "MiB", "-1", "-1MiB", "1.5GiB", "8M", "4g", "1e3", "0x10", "8388608TiB", "9223372036854775808", "1 0MiB", "1MiBs"} {
		_, err := ParseByteSize(text)
		assert.Error(t, err, text)
	}
}

func FuzzParseByteSize(f *testing.F) {
	for _, s := range []string{"8MiB", "4 GiB", "12", "1.5GB", "-1", "8388608TiB", "1e3B"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		n, err := ParseByteSize(s)
		if err != nil {
			return
		}
		if n < 0 {
			t.Fatalf("%q became %d", s, n)
		}
		again, err := ParseByteSize(n.String())
		if err != nil || again != n {
			t.Fatalf("%q is %d, whose text %q reads as %d (%v)", s, n, n.String(), again, err)
		}
	})
}

func FuzzSplitList(f *testing.F) {
	for _, s := range []string{"", "a", "a,b", " a , b ,", ",,", "a\n,b"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		list := splitList(s)
		for _, item := range list {
			if item == "" || item != strings.TrimSpace(item) || strings.Contains(item, ",") {
				t.Fatalf("%q has the item %q", s, item)
			}
		}
		again := splitList(strings.Join(list, ","))
		if strings.Join(again, ",") != strings.Join(list, ",") || len(again) != len(list) {
			t.Fatalf("%q gives %q, which gives %q", s, list, again)
		}
	})
}

func FuzzParseAmount(f *testing.F) {
	for _, s := range []string{"0.92", "-1", "75", "1e9", ".5", "00.10"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		v, err := parseAmount(s)
		if err != nil {
			return
		}
		d := v.(decimal.Decimal)
		again, err := decimal.NewFromString(d.String())
		if err != nil || !again.Equal(d) {
			t.Fatalf("%q is %s, which reads as %s (%v)", s, d, again, err)
		}
	})
}
