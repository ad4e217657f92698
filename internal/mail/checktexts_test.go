package mail

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"tidemark/internal/store"
)

// If this fails, a search that finds too little or too much is not explained by a check, or
// the check does not say which messages of whom it is about.
func TestCheckFindsDamagedTexts(t *testing.T) {
	subjects := columnKey(1, 0, 1)
	for _, tc := range []struct {
		name, want string
		damage     func(tx store.Tx, column []byte)
	}{
		{"no damage", "", func(store.Tx, []byte) {}},
		{"missing", "INBOX  the text column 0 from UID 1 on: ", func(tx store.Tx, _ []byte) { tx.Delete(subjects) }},
		{"cut short", "INBOX 1:256 mailbox 1, text column 0 from UID 1: ", func(tx store.Tx, column []byte) {
			tx.Set(subjects, column[:len(column)-1])
		}},
		{"other text", "INBOX 1:256 the text column 0 differs", func(tx store.Tx, column []byte) {
			tx.Set(subjects, bytes.ReplaceAll(column, []byte("ST "), []byte("SD ")))
		}},
		{"another list", "INBOX  the text column 0 from UID 1 on: has UIDs {1 256 256}", func(tx store.Tx, _ []byte) {
			tx.Set(textBlocksKey(1), textBlocks{{1, 256, 255}}.encode())
		}},
		{"no list", "INBOX  the list of text columns: ", func(tx store.Tx, _ []byte) { tx.Set(textBlocksKey(1), []byte{0}) }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s, a := restarted(t, textBlockMin)
			m := openMailbox(t, a, "INBOX")
			if err := m.writeTexts(t.Context()); err != nil {
				t.Fatal(err)
			}
			err := s.engine.Update(t.Context(), a.id, func(tx store.Tx) error {
				column, err := tx.Get(subjects)
				tc.damage(tx, bytes.Clone(column))
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			var found []string
			_, err = s.Check(t.Context(), "", func(p Problem) { found = append(found, p.Mailbox+" "+p.UIDs+" "+p.Text) })
			told := slices.ContainsFunc(found, func(text string) bool { return strings.HasPrefix(text, tc.want) })
			if err != nil || len(found) > int(textColumns)+1 || told != (tc.want != "") {
				t.Errorf("check found %q, %v", found, err)
			}
		})
	}
}
