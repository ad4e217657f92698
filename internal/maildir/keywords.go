package maildir

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"
	"strconv"
	"strings"

	"tidemark/imap"
)

// dovecotKeywords is the file that says which keywords the letters from "a" on
// stand for in one mailbox, one "number keyword" a line.
const dovecotKeywords = "dovecot-keywords"

// maxLetters is how many keywords a mailbox can have: the small letters.
const maxLetters = 26

func parseDovecotKeywords(file []byte) []imap.Flag {
	var keywords []imap.Flag
	for line := range bytes.Lines(file) {
		number, word, ok := strings.Cut(strings.TrimRight(string(line), "\r\n"), " ")
		n, err := strconv.Atoi(number)
		if !ok || err != nil || n < 0 || n >= maxLetters || !imap.Flag(word).IsKeyword() {
			continue
		}
		for len(keywords) <= n {
			keywords = append(keywords, "")
		}
		keywords[n] = imap.Flag(word)
	}
	return keywords
}

func appendDovecotKeywords(b []byte, keywords []imap.Flag) []byte {
	for i, k := range keywords {
		if k != "" {
			b = fmt.Appendf(b, "%d %s\n", i, k)
		}
	}
	return b
}

// courierKeywords is the directory where Courier keeps keywords: the file ":list"
// has the keywords, an empty line, and "message:number number" for each message
// that has some. What changed since then lies in a file of the message's name, or
// ".N.name" with the largest N, one keyword a line.
const courierKeywords = "courierimapkeywords"

// readCourierKeywords returns the keywords of messages by their unique names.
func readCourierKeywords(root *os.Root) (map[string][]imap.Flag, error) {
	list, err := readAside(root, path.Join(courierKeywords, ":list"))
	if err != nil {
		return nil, err
	}
	all := parseCourierList(list)
	entries, err := readDir(root, courierKeywords)
	if err != nil {
		if os.IsNotExist(err) {
			return all, nil
		}
		return nil, err
	}
	newest := make(map[string]int)
	for _, e := range entries {
		unique, generation, ok := parseCourierFile(e)
		if last, seen := newest[unique]; !ok || seen && last > generation {
			continue
		}
		content, err := readAside(root, path.Join(courierKeywords, e.Name()))
		if err != nil {
			return nil, err
		}
		newest[unique] = generation
		all[unique] = keywordLines(content)
	}
	return all, nil
}

func parseCourierList(list []byte) map[string][]imap.Flag {
	all := make(map[string][]imap.Flag)
	head, body, _ := bytes.Cut(list, []byte("\n\n"))
	words := strings.Split(string(head), "\n")
	for line := range bytes.Lines(body) {
		name, numbers, ok := strings.Cut(strings.TrimSpace(string(line)), ":")
		file, valid := parseFileName(name)
		if !ok || !valid {
			continue
		}
		var flags []imap.Flag
		for _, number := range strings.Fields(numbers) {
			n, err := strconv.Atoi(number)
			if err == nil && 0 <= n && n < len(words) && imap.Flag(words[n]).IsKeyword() {
				flags = append(flags, imap.Flag(words[n]))
			}
		}
		all[file.Unique] = flags
	}
	return all
}

// parseCourierFile returns which message a file of the directory is about, and how
// new it is.
func parseCourierFile(e fs.DirEntry) (unique string, generation int, ok bool) {
	name := e.Name()
	if !e.Type().IsRegular() || strings.HasPrefix(name, ":") {
		return "", 0, false
	}
	generation = -1
	if rest, hidden := strings.CutPrefix(name, "."); hidden {
		number, after, found := strings.Cut(rest, ".")
		n, err := strconv.Atoi(number)
		if !found || err != nil {
			return "", 0, false
		}
		name, generation = after, n
	}
	file, ok := parseFileName(name)
	return file.Unique, generation, ok
}

func keywordLines(content []byte) []imap.Flag {
	var flags []imap.Flag
	for line := range bytes.Lines(content) {
		if word := imap.Flag(strings.TrimSpace(string(line))); word.IsKeyword() && !slices.Contains(flags, word) {
			flags = append(flags, word)
		}
	}
	return flags
}
