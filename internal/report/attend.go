package report

import (
	"strings"

	"updoc/internal/host"
	"updoc/internal/message"
	"updoc/internal/repair"
)

// BeginNote says in the event log that a run begins, or is gone on with.
func BeginNote(plan *repair.Plan, again bool) host.Note {
	words := message.English()
	if again {
		return host.Note{ID: host.NoteBegin, Level: host.Info, Text: words.Text("note.resume", "run", plan.Run)}
	}
	causes := make([]string, len(plan.Causes))
	for i, id := range plan.Causes {
		causes[i] = CauseTitle(id)
	}
	return host.Note{ID: host.NoteBegin, Level: host.Info, Text: words.Text("note.begin", "run", plan.Run, "causes", strings.Join(causes, "; "), "hash", plan.Hash())}
}

// EventNote says in the event log what happened in a run; ok is false for what
// nobody would look up there.
func EventNote(run string, e repair.Event) (n host.Note, ok bool) {
	n = host.Note{Level: host.Info}
	switch e.Kind {
	case repair.EntryBegin:
		if e.Change == nil { // an act that changes nothing
			return n, false
		}
		n.ID = host.NoteChange
	case repair.EntryFailed:
		n.ID, n.Level = host.NoteFailed, host.Warning
	case repair.EntryTried:
		n.ID = host.NoteTried
	case repair.EntryUndone:
		n.ID = host.NoteUndone
	case repair.EntryOff:
		n.ID, n.Level = host.NoteOff, host.Warning
	case repair.EntryConflict:
		n.ID, n.Level = host.NoteLeft, host.Warning
	default:
		return n, false
	}
	n.Text = message.English().Text("note.event", "run", run, "remedy", RemedyTitle(e.Treatment), "text", strings.TrimSuffix(Clean(EventText(e)), "."))
	return n, true
}

// ResultNote says in the event log how a run ended, or why it waits.
func ResultNote(plan *repair.Plan, res repair.Result, s repair.Summary) host.Note {
	n := host.Note{ID: host.NoteResult, Level: host.Info}
	if res == repair.Broken || res == repair.NotCured || res == repair.Left {
		n.Level = host.Warning
	}
	n.Text = message.English().Text("note.result", "run", plan.Run, "text", strings.ReplaceAll(ResultText(plan, res, s.Undoable, s.Lasting()), "\n", " "))
	return n
}

// PersonNote says in the event log that a run does not go on by itself.
func PersonNote(run string) host.Note {
	return host.Note{ID: host.NoteResult, Level: host.Warning, Text: message.English().Text("note.person", "run", run)}
}

// UndoNote says in the event log that a run is about to be taken back.
func UndoNote(run string) host.Note {
	return host.Note{ID: host.NoteUndone, Level: host.Info, Text: message.English().Text("note.undo", "run", run)}
}

// UndoneNote says in the event log what taking it back did.
func UndoneNote(run string, u repair.Undone) host.Note {
	n := host.Note{ID: host.NoteUndone, Level: host.Info}
	if len(u.Conflicts)+len(u.Waiting) > 0 {
		n.Level = host.Warning
	}
	n.Text = message.English().Text("note.undid", "run", run, "n", u.Back, "left", len(u.Conflicts), "waiting", len(u.Waiting))
	return n
}

// TaskText says what a scheduled task of updoc's is for, to people who find it.
func TaskText(name string) string {
	return message.English().Text(map[string]string{host.TaskResume: "task.resume", host.TaskCheck: "task.check"}[name])
}

// NotRemovedText says that a task could not be taken away.
func NotRemovedText(task string, err error) string {
	return message.English().Text("attend.not-removed", "task", task, "error", err.Error())
}

// UserAwayText says why a run does not go on yet.
func UserAwayText() string { return message.English().Text("attend.user-away") }

// AskSourceText asks for an image of this Windows.
func AskSourceText() string { return message.English().Text("fix.ask-source") }

// PersonText says why a run does not go on by itself.
func PersonText() string { return message.English().Text("attend.person") }

// CheckNote says in the event log what a check found.
func CheckNote(doc *Document) host.Note {
	words := message.English()
	n := host.Note{ID: host.NoteCheck, Level: host.Info}
	text := words.Text("check." + doc.Verdict)
	if doc.Verdict == "problems" {
		n.Level = host.Warning
		var list []string
		for _, c := range doc.Causes[:min(3, len(doc.Causes))] {
			list = append(list, lowerFirst(c.Title))
		}
		if len(list) > 0 {
			text += " " + words.Text("check.likeliest", "causes", strings.Join(list, "; "))
		}
	}
	n.Text = words.Text("note.check", "text", Clean(text))
	return n
}
