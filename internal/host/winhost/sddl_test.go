package winhost

import "testing"

func TestGrants(t *testing.T) {
	for _, c := range []struct {
		name, now, want string
		is              bool
	}{
		{"itself", "O:BAG:SYD:(A;;FA;;;SY)", "O:BAG:SYD:(A;;FA;;;SY)", true},
		{"parts that are not wanted may be anything", "O:BAG:SYD:(A;;FA;;;SY)", "D:(A;;FA;;;SY)", true},
		{"another owner", "O:BAD:(A;;FA;;;SY)", "O:SYD:(A;;FA;;;SY)", false},
		{"an owner that is a number", "O:S-1-5-80-1-2-3-4-5G:SYD:P(A;;FA;;;SY)", "O:S-1-5-80-1-2-3-4-5", true},
		{"the mark of a list that was set", "D:PAI(A;;FA;;;SY)", "D:P(A;;FA;;;SY)", true},
		{"protected or not", "D:AI(A;;FA;;;SY)", "D:P(A;;FA;;;SY)", false},
		{"what the parent hands down", "D:AI(A;;FR;;;BU)(A;OICIID;FA;;;SY)", "D:(A;;FR;;;BU)", true},
		{"an entry more", "D:(A;;FA;;;SY)(A;;FA;;;WD)", "D:(A;;FA;;;SY)", false},
		{"another order", "D:(D;;FA;;;WD)(A;;FA;;;SY)", "D:(A;;FA;;;SY)(D;;FA;;;WD)", false},
		{"generic rights", "D:P(A;;FA;;;SY)(A;;FR;;;BU)", "D:P(A;;GA;;;SY)(A;;GR;;;BU)", true},
		{"an audit list", "D:(A;;FA;;;SY)S:(AU;FA;KA;;;WD)", "S:(AU;FA;KA;;;WD)", true},
		{"another audit list", "D:(A;;FA;;;SY)S:(AU;FA;KA;;;WD)", "S:(AU;SA;KA;;;WD)", false},
		{"a list that lets nobody in, and one that is not there", "D:NO_ACCESS_CONTROL", "D:", false},
		{"an empty list that is protected", "D:PAI", "D:P", true},
		{"a conditional entry with a colon", `D:(XA;;FX;;;WD;(@User.a == "b:c"))`, `D:(XA;;FX;;;WD;(@User.a == "b:c"))`, true},
	} {
		if got := grants(c.now, c.want); got != c.is {
			t.Errorf("%s: %v\nnow  %s\nwant %s", c.name, got, c.now, c.want)
		}
	}
}

func FuzzGrants(f *testing.F) {
	f.Add("O:BAG:SYD:PAI(A;OICI;FA;;;SY)(A;ID;FR;;;BU)S:(AU;FA;KA;;;WD)")
	f.Add("D:NO_ACCESS_CONTROL")
	f.Add("((::)(:D:O:")
	f.Fuzz(func(t *testing.T, s string) {
		if !grants(s, s) {
			t.Errorf("%q is not what it is", s)
		}
	})
}
