package access

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"fmt"
	"net/netip"
	"os"
	"slices"
	"strings"
)

// blockList is a set of networks. It is immutable. A look-up costs one step for
// each length of prefix that occurs, however many networks there are.
type blockList struct {
	sum      [sha256.Size]byte // of the file it was read from
	networks map[netip.Prefix]struct{}
	lengths  []int // of the prefixes
}

// parseBlockList reads a list: an address or a network on each line, "#" begins a
// comment.
func parseBlockList(text []byte) (*blockList, error) {
	b := &blockList{sum: sha256.Sum256(text), networks: map[netip.Prefix]struct{}{}}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for n := 1; lines.Scan(); n++ {
		entry, _, _ := strings.Cut(lines.Text(), "#")
		if entry = strings.TrimSpace(entry); entry == "" {
			continue
		}
		p, err := parseNetwork(entry)
		if err != nil {
			return nil, fmt.Errorf("line %d: %.60q is neither an address nor a network", n, entry)
		}
		b.networks[p] = struct{}{}
		if !slices.Contains(b.lengths, p.Bits()) {
			b.lengths = append(b.lengths, p.Bits())
		}
	}
	return b, lines.Err()
}

func parseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		a, err := netip.ParseAddr(s)
		if err != nil {
			return netip.Prefix{}, err
		}
		a = a.Unmap().WithZone("")
		return a.Prefix(a.BitLen())
	}
	p, err := netip.ParsePrefix(s)
	return p.Masked(), err
}

func (b *blockList) contains(a netip.Addr) bool {
	for _, bits := range b.lengths {
		p, err := a.Prefix(bits)
		if err != nil {
			continue // longer than an address of this kind
		}
		if _, blocked := b.networks[p]; blocked {
			return true
		}
	}
	return false
}

// load reads the file and, if it is another than before (or force), puts it in force.
func (g *Gate) load(force bool) error {
	if g.opts.BlockList == "" {
		return nil
	}
	text, err := os.ReadFile(g.opts.BlockList)
	if err == nil && !force && sha256.Sum256(text) == g.blocked.Load().sum {
		return nil
	}
	var next *blockList
	if err == nil {
		if next, err = parseBlockList(text); err != nil {
			err = fmt.Errorf("%s: %w", g.opts.BlockList, err)
		}
	}
	if err != nil {
		g.opts.Log.Error("block list not read; the one in force stays", "error", err)
		return err
	}
	g.blocked.Store(next)
	g.opts.Log.Info("block list in force", "file", g.opts.BlockList, "networks", len(next.networks))
	return nil
}
