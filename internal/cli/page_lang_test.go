package cli

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp"

	"updoc/internal/lab"
	"updoc/internal/message"
	"updoc/internal/ui/web"
)

// TestPageLanguages: on the German page every text says in which language it is, so that
// a screen reader speaks it in that one; and where some are English, the page says so.
func TestPageLanguages(t *testing.T) {
	de, en := message.For("de"), message.English()
	german, english := map[string]string{}, map[string]string{}
	for _, k := range en.Keys() {
		switch text := strings.Join(strings.Fields(en.Text(k)), " "); {
		case !de.Own(k):
			english[text] = k
		case de.Text(k) != en.Text(k):
			german[strings.Join(strings.Fields(de.Text(k)), " ")] = k
		}
	}
	b := chromium(t)
	v := visitLab(t, lab.Demo, web.Server{Lang: "de"})
	var at string
	drive(t, b, chromedp.Navigate(v.url), visible("Was am ehesten hilft"), chromedp.Location(&at))
	seen := 0
	look := func(path, wait string, foreign bool, before ...chromedp.Action) {
		t.Helper()
		var texts [][2]string
		var all string
		drive(t, b, append([]chromedp.Action{chromedp.Navigate(at + path), visible(wait)}, before...)...)
		drive(t, b, chromedp.Evaluate(`(() => {
	const out = [], walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
	while (walk.nextNode()) {
		const text = walk.currentNode.nodeValue.replace(/\s+/g, " ").trim();
		if (text) out.push([walk.currentNode.parentElement.closest("[lang]").lang, text]);
	}
	return out;
})()`, &texts), chromedp.Evaluate(`document.querySelector("main").innerText`, &all))
		for _, x := range texts {
			lang, text := x[0], x[1]
			if k := german[text]; k != "" && lang != "de" {
				t.Errorf("/%s: %s is spoken as %q: %s", path, k, lang, text)
			}
			if k := english[text]; k != "" && lang != "en" {
				t.Errorf("/%s: %s is spoken as %q: %s", path, k, lang, text)
			}
			if german[text] != "" || english[text] != "" {
				seen++
			}
		}
		if got := strings.Contains(all, de.Text("ui.foreign")); got != foreign {
			t.Errorf("/%s: that some of it is English: said %v, want %v", path, got, foreign)
		}
	}
	look("", "Was am ehesten hilft", true)
	look("why", "spricht dafür", true)
	look("plan", "gesund wird", true)
	look("help", "Was darin sein wird", false)
	look("other", "Dateien hier ablegen", false)
	look("explain?code=0x8024401B", "Was meist dahintersteckt", true)
	look("", "Was am ehesten hilft", true, press("Beheben"), visible("Darf updoc das tun"))
	look("plan", "Darf updoc das tun", true, press("Ja, machen"), located("/after"), visible("Geheilt"))
	look("after", "Der Beweis", true)
	look("history", "Was updoc hier tat", true)
	if seen < 150 {
		t.Errorf("%d texts were known", seen)
	}
}
