package host

import (
	"context"
	"errors"
	"io"
	"path"
	"slices"
	"strings"

	"updoc/internal/codes"
	"updoc/internal/winlog"
)

type regValue = winlog.RegValue

// errDisabled is what the Service Control Manager says of a disabled service.
const errDisabled = codes.HRESULT(0x80070422)

// maxKept bounds the file whose old bytes a rehearsal keeps in memory.
const maxKept = 64 << 20

// look finds a file or folder: of the overlay, else of the base. known is false
// where nobody can tell.
func (o *Overlay) look(ctx context.Context, p string) (n *node, known bool, err error) {
	low := strings.ToLower(p)
	if n, ok := o.files[low]; ok {
		return n, true, nil
	}
	files, err := o.Base.Files(ctx, path.Base(strings.ReplaceAll(p, `\`, "/")))
	if err != nil && !errors.Is(err, ErrNotRecorded) {
		return nil, false, err
	}
	for _, f := range files {
		if !onMachine(f.Path, p) {
			continue
		}
		rc, err := o.Base.Open(ctx, f)
		if err != nil {
			return nil, false, err
		}
		b, err := io.ReadAll(io.LimitReader(rc, maxKept))
		if err := errors.Join(err, rc.Close()); err != nil {
			return nil, false, err
		}
		n := &node{path: p, data: b, modified: f.Modified}
		o.files[low] = n
		return n, true, nil
	}
	return nil, o.Strict, nil
}

// below lists what the overlay has in a folder, itself left out.
func (o *Overlay) below(folder string) []string {
	var out []string
	for p, n := range o.files {
		if n != nil && strings.HasPrefix(p, strings.ToLower(folder)+`\`) {
			out = append(out, p)
		}
	}
	slices.Sort(out)
	return out
}

func (o *Overlay) inverseFile(ctx context.Context, c Change) ([]Change, error) {
	n, known, err := o.look(ctx, c.Path)
	if err != nil {
		return nil, err
	}
	one := func(k ChangeKind) []Change { return []Change{{Kind: k, Path: c.Path}} }
	switch c.Kind {
	case Move:
		switch to := o.files[strings.ToLower(c.To)]; {
		case to != nil:
			return []Change{c}, nil
		case n != nil || !known:
			return []Change{{Kind: Restore, Path: c.To, To: c.Path}}, nil
		}
		return nil, ErrNotExist
	case Restore:
		if n == nil && known {
			return []Change{c}, nil
		}
		return []Change{{Kind: Move, Path: c.To, To: c.Path}}, nil
	case Write, FileDrop:
		switch {
		case n == nil:
			return one(FileDrop), nil
		case n.folder:
			return nil, ErrInTheWay
		}
		return []Change{{Kind: Write, Path: c.Path, Data: n.data, Modified: n.modified}}, nil
	case FolderMake, FolderDrop:
		switch {
		case n == nil:
			return one(FolderDrop), nil
		case !n.folder:
			return nil, ErrInTheWay
		}
		return one(FolderMake), nil
	case Security:
		if n == nil || n.sddl == "" {
			return nil, ErrNotRecorded
		}
		return []Change{{Kind: Security, Path: c.Path, SDDL: n.sddl}}, nil
	}
	return nil, ErrRefused
}

func (o *Overlay) applyFile(ctx context.Context, c Change) error {
	low := strings.ToLower(c.Path)
	n, known, err := o.look(ctx, c.Path)
	if err != nil {
		return err
	}
	switch c.Kind {
	case Move:
		switch {
		case o.files[strings.ToLower(c.To)] != nil:
			return nil
		case n == nil && known:
			return ErrNotExist
		case n == nil:
			n = &node{path: c.Path, folder: true} // a bundle lists no folders
		}
		o.rename(low, n, c.To)
	case Restore:
		if n == nil {
			return nil
		}
		o.restore(c)
	case Write:
		if n != nil && n.folder {
			return ErrInTheWay
		}
		o.files[low] = &node{path: c.Path, data: slices.Clone(c.Data), modified: c.Modified}
	case FileDrop:
		if n != nil && n.folder {
			return ErrInTheWay
		}
		o.files[low] = nil
	case FolderMake:
		if n != nil && !n.folder {
			return ErrInTheWay
		}
		if n == nil {
			o.files[low] = &node{path: c.Path, folder: true}
		}
	case FolderDrop:
		if n != nil && !n.folder || len(o.below(c.Path)) > 0 {
			return ErrInTheWay
		}
		o.files[low] = nil
	case Security:
		if n == nil {
			return ErrNotRecorded
		}
		n.sddl = c.SDDL
		o.files[low] = n
	}
	return nil
}

// rename moves a node and what is below it.
func (o *Overlay) rename(low string, n *node, to string) {
	for _, p := range o.below(low) {
		child := *o.files[p]
		child.path = to + child.path[len(low):]
		o.files[strings.ToLower(child.path)], o.files[p] = &child, nil
	}
	moved := *n
	moved.path = to
	o.files[strings.ToLower(to)], o.files[low] = &moved, nil
}

// restore puts what was moved back. What came to stand in its place since is
// merged into it where it is new, and kept beside it where it is not.
func (o *Overlay) restore(c Change) {
	from, to := strings.ToLower(c.Path), strings.ToLower(c.To)
	since := c.Path + Since
	if now := o.files[to]; now != nil {
		o.rename(to, now, since)
	}
	o.rename(from, o.files[from], c.To)
	for _, p := range o.below(since) {
		back := to + p[len(since):]
		if o.files[back] == nil {
			child := *o.files[p]
			child.path = c.To + child.path[len(since):]
			o.files[back], o.files[p] = &child, nil
		}
	}
	for _, p := range slices.Backward(append([]string{strings.ToLower(since)}, o.below(since)...)) {
		if n := o.files[p]; n != nil && n.folder && len(o.below(p)) == 0 {
			o.files[p] = nil
		}
	}
}

// Since ends the name under which a [Restore] keeps what was newer than what it
// put back and could not be merged.
const Since = ".since"
