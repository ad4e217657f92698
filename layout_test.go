// Package tidemark has no code of its own: its test keeps the packages in their
// order.
package tidemark

import (
	"go/build"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// layout says which packages of ours each package imports; "*" is for those that may
// import all. Imports go up the list only. Tests may import anything.
var layout = []struct {
	pkg     string
	imports string
}{
	// Public: the protocol and its parts.
	{"imap", ""},
	{"imapwire", "imap"},
	{"sasl", ""},
	{"message", "imap"},
	{"imapserver", "imap imapwire sasl"},

	// Storage: ordered keys and blobs, which know nothing of mail.
	{"internal/store", ""},
	{"internal/store/embedded", "internal/store"},

	// Mail outside of a store.
	{"internal/maildir", "imap imapwire"},
	{"internal/mbox", "imap"},
	{"internal/transfer", "imap imapwire internal/maildir internal/mbox"},

	// The rules of mail, and the ways to it. Mail implements the ports of imapserver.
	{"internal/auth", "imap imapserver sasl"},
	{"internal/auth/dovecotauth", "imap imapserver sasl"},
	{"internal/auth/ldapsource", "imapserver sasl internal/auth"},
	{"internal/auth/oidctokens", "imapserver sasl"},
	{"internal/auth/pamsource", "imapserver sasl internal/auth"},
	{"internal/auth/sqlsource", "imapserver sasl internal/auth"},
	{"internal/lmtp", "imap imapserver"},
	{"internal/mail", "imap imapwire imapserver message sasl internal/store"},
	{"internal/certs", ""},
	{"internal/access", ""},
	{"internal/config", ""},
	{"internal/admin", "imap imapserver sasl internal/auth internal/mail internal/transfer"},
	{"internal/demo", "imap internal/admin internal/transfer"},

	// Where everything is joined.
	{"internal/daemon", "*"},
	{"cmd/tidemark", "imap internal/admin internal/auth internal/config internal/daemon internal/demo internal/transfer internal/maildir"},

	// For tests only. Transcripts judge the server, and so share nothing with it;
	// simtest starts whole servers, but its model knows nothing of theirs.
	{"internal/testbed", ""},
	{"internal/store/storetest", "internal/store"},
	{"internal/certs/acmetest", "internal/testbed"},
	{"internal/transcript", ""},
	{"internal/simtest", "*"},
	{"internal/clienttest", ""},

	// The load generator, which measures servers from outside.
	{"bench/corpus", ""},
	{"bench/client", ""},
	{"bench/peer", ""},
	{"bench", "bench/corpus bench/client bench/peer"},
}

// If this fails, a package has come to know something that it was kept free of.
func TestLayout(t *testing.T) {
	for _, dir := range packageDirs(t) {
		row := slices.IndexFunc(layout, func(l struct{ pkg, imports string }) bool { return l.pkg == dir })
		if row < 0 {
			t.Errorf("%s is not in the table; say there what it may import", dir)
			continue
		}
		pkg, err := build.ImportDir(dir, 0)
		if err != nil {
			t.Fatal(err)
		}
		allowed := strings.Fields(layout[row].imports)
		for _, path := range pkg.Imports {
			ours, ok := strings.CutPrefix(path, "tidemark/")
			if ok && !slices.Contains(allowed, ours) && layout[row].imports != "*" {
				t.Errorf("%s imports %s, which the table does not allow", dir, ours)
			}
		}
		for _, ours := range allowed {
			if ours != "*" && !slices.Contains(pkg.Imports, "tidemark/"+ours) {
				t.Errorf("%s does not import %s; take it out of the table", dir, ours)
			}
		}
	}
}

// If this fails, the table allows imports in a circle, or of packages that are not there.
func TestLayoutIsInOrder(t *testing.T) {
	dirs := packageDirs(t)
	above := map[string]bool{"*": true}
	for _, row := range layout {
		if !slices.Contains(dirs, row.pkg) {
			t.Errorf("there is no package %s", row.pkg)
		}
		for pkg := range strings.FieldsSeq(row.imports) {
			if !above[pkg] {
				t.Errorf("%s may import %s, which does not stand above it", row.pkg, pkg)
			}
		}
		above[row.pkg] = true
	}
}

// If this fails, a command-line tool of the tests, or a package for tests, has
// become part of the program.
func TestTestPackagesStayOut(t *testing.T) {
	forTests := func(pkg string) bool {
		return strings.HasSuffix(pkg, "test") || pkg == "internal/transcript" || pkg == "internal/testbed"
	}
	for _, row := range layout {
		for pkg := range strings.FieldsSeq(row.imports) {
			if forTests(pkg) && !forTests(row.pkg) {
				t.Errorf("%s may import %s, which is for tests", row.pkg, pkg)
			}
		}
	}
}

// packageDirs returns the directories that hold Go code other than tests.
func packageDirs(t *testing.T) []string {
	t.Helper()
	var dirs []string
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata" || d.Name() == "node_modules" || d.Name() == "data") {
			return filepath.SkipDir
		}
		ours := strings.HasSuffix(path, ".go") && !strings.HasSuffix(path, "_test.go")
		if dir := filepath.ToSlash(filepath.Dir(path)); ours && !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dirs
}
