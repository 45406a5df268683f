package winhost

import "testing"

func TestOfflineRoot(t *testing.T) {
	for dir, want := range map[string]string{`D:\`: "D:", `d:`: "d:", `E:\mount\`: `E:\mount`, "D:/": "D:"} {
		if got, err := offlineRoot(dir); err != nil || got != want {
			t.Errorf("%s: %s, %v", dir, got, err)
		}
	}
	for _, dir := range []string{"", "D", `\\server\c$`, `Windows`, `D:\..\x`, `\\?\D:\`, `D:\a:b`} {
		if got, err := offlineRoot(dir); err == nil {
			t.Errorf("%s: %s", dir, got)
		}
	}
}
