package host

import "testing"

// A number that was there before is no new point, whatever was deleted meanwhile.
func TestMade(t *testing.T) {
	for _, tt := range []struct {
		before, now []uint32
		want        RestorePoint
	}{
		{nil, nil, RestorePoint{}},
		{nil, []uint32{1}, RestorePoint{1, true}},
		{[]uint32{3, 7, 5}, []uint32{5, 7, 8}, RestorePoint{8, true}},
		{[]uint32{3, 7}, []uint32{3, 7}, RestorePoint{7, false}},
		{[]uint32{3, 7}, []uint32{3}, RestorePoint{3, false}},
	} {
		if got := Made(tt.before, tt.now); got != tt.want {
			t.Errorf("%v, %v: %+v, want %+v", tt.before, tt.now, got, tt.want)
		}
	}
}
