package web

import (
	"strings"
	"testing"

	"updoc/internal/message"
	"updoc/internal/repair"
	"updoc/internal/ui"
)

// TestWords: every word that is put together of parts is there, in both languages.
func TestWords(t *testing.T) {
	keys := []string{"ui.cost.restart-yes", "ui.cost.restart-maybe", "ui.why.lines-1", "ui.plan.summary-1", "ui.history.standing-1", "ui.mark.not-tried", "ui.result.undone", "ui.result.unfinished"}
	for _, m := range []ui.Mark{ui.MarkNow, ui.MarkCured, ui.MarkDone, ui.MarkPassed, ui.MarkFailed, ui.MarkBack} {
		keys = append(keys, "ui.mark."+string(m))
	}
	for _, m := range []ui.Mark{ui.MarkNow, ui.MarkDone, ui.MarkPassed, ui.MarkFailed, ui.MarkBack} {
		keys = append(keys, "ui.step."+string(m))
	}
	for _, r := range []repair.Result{repair.Cured, repair.NotCured, repair.Unproven, repair.Left, repair.Shown, repair.Restart, repair.Broken, repair.Stopped} {
		keys = append(keys, "ui.result."+string(r), "ui.result-lead."+string(r))
	}
	for _, verdict := range []string{"can", "seldom", "cannot", "around", "harmful"} {
		keys = append(keys, "ui.advice."+verdict)
	}
	for _, view := range []string{"today", "why", "plan", "history", "help", "other", "explain"} {
		keys = append(keys, "ui.nav."+view)
	}
	for _, lang := range []string{"en", "de"} {
		words := message.For(lang)
		for _, k := range keys {
			if !words.Own(k) {
				t.Errorf("%s: %s is missing", lang, k)
			}
		}
	}
}

// TestNoGap: no view shows the key of a text instead of it.
func TestNoGap(t *testing.T) {
	for _, lang := range []string{"en", "de"} {
		p, c := serve(t, Server{Lang: lang}, &sick{doc: problems("WindowsUpdate.log:17")})
		for _, path := range []string{"", "why", "plan", "after", "history", "help", "other", "explain", "nothing"} {
			_, body, _ := c.request("GET", p.base+path, nil, nil)
			for _, group := range []string{"ui.", "page.", "report.", "stage.", "fault.", "hop."} {
				if i := strings.Index(body, ">"+group); i >= 0 {
					t.Errorf("%s, %q: %s", lang, path, body[i:min(i+60, len(body))])
				}
			}
			if !strings.Contains(body, `<html lang="`+lang+`">`) {
				t.Errorf("%s, %q does not say its language", lang, path)
			}
		}
	}
}
