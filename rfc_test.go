package tidemark

import (
	"bytes"
	"cmp"
	"flag"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/rfc.md anew")

const (
	rfcPage  = "docs/rfc.md"
	rfcTable = "| RFC | Section | Code | Tests |\n| --- | --- | --- | --- |\n"
)

// rfcs has the subject of each RFC that the source or a test refers to.
var rfcs = map[int]string{
	822:  "Internet messages, until 2001",
	1870: "SMTP: SIZE",
	2033: "LMTP",
	2045: "MIME: bodies",
	2046: "MIME: media types",
	2047: "MIME: encoded words",
	2152: "UTF-7",
	2177: "IDLE",
	2180: "IMAP: mailboxes with several sessions",
	2183: "MIME: Content-Disposition",
	2231: "MIME: parameters in other charsets and in parts",
	2342: "NAMESPACE",
	2683: "IMAP: advice to implementers",
	2781: "UTF-16",
	2920: "SMTP: PIPELINING",
	2971: "ID",
	2978: "Registration of charsets",
	3282: "MIME: Content-Language",
	3348: "CHILDREN",
	3463: "Enhanced status codes of mail systems",
	3501: "IMAP4rev1",
	3502: "MULTIAPPEND",
	3516: "BINARY",
	3676: "Text with format=flowed",
	3691: "UNSELECT",
	4013: "SASLprep",
	4155: "The mbox format",
	4315: "UIDPLUS",
	4422: "SASL",
	4466: "IMAP: extended syntax",
	4511: "LDAP",
	4513: "LDAP: authentication",
	4616: "SASL: PLAIN",
	4648: "Base32 and base64",
	4731: "ESEARCH",
	4959: "SASL-IR",
	5032: "WITHIN",
	5161: "ENABLE",
	5182: "SEARCHRES",
	5198: "Unicode for network interchange",
	5233: "Subaddresses",
	5255: "LANGUAGE and I18NLEVEL",
	5256: "SORT and THREAD",
	5258: "LIST-EXTENDED",
	5321: "SMTP",
	5322: "Internet messages",
	5530: "IMAP: response codes",
	5801: "SASL: the GS2 header",
	5802: "SASL: SCRAM",
	5819: "LIST-STATUS",
	5929: "Channel binding for TLS",
	5957: "SORT=DISPLAY",
	6154: "SPECIAL-USE",
	6531: "SMTP: SMTPUTF8",
	6749: "OAuth 2.0",
	6750: "OAuth 2.0: bearer tokens",
	6851: "MOVE",
	6855: "UTF8=ACCEPT",
	7162: "CONDSTORE and QRESYNC",
	7519: "JSON Web Tokens",
	7628: "SASL: OAUTHBEARER",
	7662: "OAuth 2.0: token introspection",
	7677: "SASL: SCRAM-SHA-256",
	7888: "LITERAL+ and LITERAL-",
	7889: "APPENDLIMIT",
	8265: "User names and passwords in Unicode",
	8314: "TLS for mail programs",
	8446: "TLS 1.3",
	8414: "OAuth 2.0: metadata of the provider",
	8438: "STATUS=SIZE",
	8457: "The special use \\Important",
	8474: "OBJECTID",
	8514: "SAVEDATE",
	8555: "ACME",
	8693: "OAuth 2.0: token exchange",
	8970: "PREVIEW",
	8996: "The end of TLS 1.0 and 1.1",
	9051: "IMAP4rev2",
	9266: "Channel binding for TLS 1.3",
}

// citation finds "RFC 9051 §6.4.5, §7.5.2", each word of it after any white space.
var (
	citation = regexp.MustCompile(`RFC (\d+)((?:,? (?:and )?(?:§[0-9A-Z]+(?:\.[0-9]+)*|appendix [A-Z]))*)`)
	section  = regexp.MustCompile(`§[0-9A-Z]+(?:\.[0-9]+)*|appendix [A-Z]`)
)

// place is a section of an RFC, or all of it where section is empty.
type place struct {
	rfc     int
	section string
}

// citers are the files that refer to a place: code and tests.
type citers [2][]string

// If this fails, the page does not tell where each rule of an RFC is kept, or the
// source refers to an RFC that nobody has given a subject.
// "go test . -run RFCPage -update" repairs the page.
func TestRFCPage(t *testing.T) {
	found := citations(t)
	known := map[int]bool{}
	for at := range found {
		known[at.rfc] = true
		if rfcs[at.rfc] == "" {
			t.Errorf("RFC %d has no subject in rfcs; it is cited in %v", at.rfc, found[at])
		}
	}
	for rfc := range rfcs {
		if !known[rfc] {
			t.Errorf("RFC %d is in rfcs, and cited nowhere", rfc)
		}
	}
	old, err := os.ReadFile(rfcPage)
	if err != nil {
		t.Fatal(err)
	}
	head, _, ok := bytes.Cut(old, []byte(rfcTable))
	if !ok {
		t.Fatalf("%s has lost its table's head", rfcPage)
	}
	page := slices.Concat(head, []byte(rfcTable), rfcRows(found))
	if bytes.Equal(page, old) {
		return
	}
	if !*update {
		t.Fatalf("%s is not up to date; run go test . -run RFCPage -update", rfcPage)
	}
	if err := os.WriteFile(rfcPage, page, 0o644); err != nil {
		t.Fatal(err)
	}
}

// rfcRows returns the table: a row for each RFC, and one for each section.
func rfcRows(found map[place]citers) []byte {
	var b bytes.Buffer
	for _, rfc := range slices.Sorted(maps.Keys(rfcs)) {
		whole := found[place{rfc: rfc}]
		fmt.Fprintf(&b, "| **[%d](https://www.rfc-editor.org/rfc/rfc%d)** %s |  | %s | %s |\n", rfc, rfc, rfcs[rfc], files(whole[0]), files(whole[1]))
		var sections []string
		for at := range found {
			if at.rfc == rfc && at.section != "" {
				sections = append(sections, at.section)
			}
		}
		slices.SortFunc(sections, compareSections)
		for _, s := range sections {
			c := found[place{rfc, s}]
			fmt.Fprintf(&b, "| %d | %s | %s | %s |\n", rfc, s, files(c[0]), files(c[1]))
		}
	}
	return b.Bytes()
}

// files returns links to files, without their repetitions.
func files(names []string) string {
	slices.Sort(names)
	var links []string
	for _, name := range slices.Compact(names) {
		links = append(links, fmt.Sprintf("[%s](../%s)", strings.TrimSuffix(name, ".go"), name))
	}
	return strings.Join(links, ", ")
}

// compareSections puts §6.4.10 after §6.4.9, and appendices after sections.
func compareSections(a, b string) int {
	as, bs := strings.Split(strings.TrimPrefix(a, "§"), "."), strings.Split(strings.TrimPrefix(b, "§"), ".")
	return slices.CompareFunc(as, bs, func(a, b string) int {
		m, errA := strconv.Atoi(a)
		n, errB := strconv.Atoi(b)
		if errA != nil || errB != nil {
			return cmp.Compare(a, b)
		}
		return cmp.Compare(m, n)
	})
}

// citations returns what all files of the tree refer to.
func citations(t *testing.T) map[place]citers {
	t.Helper()
	found := map[place]citers{}
	err := filepath.WalkDir(".", func(file string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if file != "." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "data") {
				return filepath.SkipDir
			}
			return nil
		}
		text, err := quotable(file)
		if err != nil {
			return err
		}
		column := 0
		if forTests(filepath.ToSlash(file)) {
			column = 1
		}
		for _, at := range cited(text) {
			c := found[at]
			c[column] = append(c[column], filepath.ToSlash(file))
			found[at] = c
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// forTests says whether a file is a test, or belongs to a package for tests.
func forTests(name string) bool {
	dir := path.Dir(name)
	return strings.HasSuffix(name, "_test.go") || strings.HasSuffix(name, ".txtar") ||
		strings.HasSuffix(dir, "test") || dir == "internal/transcript"
}

// quotable returns the comments and strings of a Go file, and all of a transcript,
// with its lines joined.
func quotable(file string) (string, error) {
	var text strings.Builder
	switch filepath.Ext(file) {
	case ".txtar":
		b, err := os.ReadFile(file)
		if err != nil {
			return "", err
		}
		text.Write(b)
	case ".go":
		if file == "rfc_test.go" {
			return "", nil
		}
		f, err := parser.ParseFile(token.NewFileSet(), file, nil, parser.ParseComments)
		if err != nil {
			return "", err
		}
		for _, c := range f.Comments {
			text.WriteString(c.Text() + "\n")
		}
		ast.Inspect(f, func(n ast.Node) bool {
			if lit, ok := n.(*ast.BasicLit); ok && lit.Kind == token.STRING {
				text.WriteString(lit.Value + "\n")
			}
			return true
		})
	}
	return strings.Join(strings.Fields(text.String()), " "), nil
}

// cited returns the places that a text refers to.
func cited(text string) []place {
	var places []place
	for _, m := range citation.FindAllStringSubmatch(text, -1) {
		rfc, err := strconv.Atoi(m[1])
		if err != nil {
			continue // no RFC has so long a number
		}
		sections := section.FindAllString(m[2], -1)
		if sections == nil {
			places = append(places, place{rfc: rfc})
		}
		for _, s := range sections {
			places = append(places, place{rfc, s})
		}
	}
	return places
}
