package imapserver_test

import (
	"crypto/tls"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"tidemark/internal/simtest"
	"tidemark/internal/transcript"
)

// With -transcript.tls the scripts are run against any other server, to see
// whether it is the script that is wrong. Each script needs a user of its own
// there, "alice-SCRIPT-MODE", with the password given here.
var (
	otherTLS      = flag.String("transcript.tls", "", "run the transcripts against the server at this address with implicit TLS")
	otherPlain    = flag.String("transcript.plain", "", "its address for STARTTLS")
	otherPassword = flag.String("transcript.password", "", "the password of all its users")
)

// transcripts returns all scripts.
func transcripts(t *testing.T) (scripts []*transcript.Script) {
	t.Helper()
	files, err := filepath.Glob("testdata/*.txtar")
	if err != nil || len(files) == 0 {
		t.Fatalf("no transcripts: %v", err)
	}
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		script, err := transcript.ParseScript(file, data)
		if err != nil {
			t.Error(err)
			continue
		}
		scripts = append(scripts, script)
	}
	return scripts
}

// Whoever breaks one of these breaks a mail program: each file opens with how.
func TestTranscripts(t *testing.T) {
	for _, script := range transcripts(t) {
		for _, mode := range script.Modes {
			t.Run(script.Name+"/"+mode, func(t *testing.T) { runTranscript(t, script, mode) })
		}
	}
}

func runTranscript(t *testing.T, script *transcript.Script, mode string) {
	if *otherTLS != "" {
		if err := script.Run(t.Context(), otherServer(script, mode), mode); err != nil {
			t.Fatal(err)
		}
		return
	}
	server := simtest.Start(t, 1)
	for _, user := range script.Users {
		server.AddUser(user)
	}
	if err := script.Run(t.Context(), server.Target(), mode); err != nil {
		t.Error(err)
	}
	server.Check()
}

// otherServer is the server that the flags name.
func otherServer(script *transcript.Script, mode string) transcript.Target {
	return transcript.Target{
		Addr:      *otherTLS,
		Plain:     *otherPlain,
		TLSConfig: &tls.Config{InsecureSkipVerify: true},
		Login: func(user string) (string, string) {
			return user + "-" + script.Name + "-" + mode, *otherPassword
		},
	}
}
