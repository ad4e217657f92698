package config

import (
	"strings"

	"github.com/pelletier/go-toml/v2/unstable"
)

// positionsByKey has the place of each key of a TOML text.
type positionsByKey map[string]unstable.Position

// positions finds the places of all keys of a text that is valid TOML.
func positions(text []byte) positionsByKey {
	at := positionsByKey{}
	p := unstable.Parser{}
	p.Reset(text)
	prefix := ""
	for p.NextExpression() {
		e := p.Expression()
		var parts []string
		var first *unstable.Node
		for it := e.Key(); it.Next(); {
			if first == nil {
				first = it.Node()
			}
			parts = append(parts, string(it.Node().Data))
		}
		if first == nil {
			continue
		}
		key := strings.Join(parts, ".")
		if e.Kind != unstable.KeyValue {
			prefix = key + "."
		} else {
			key = prefix + key
		}
		if _, ok := at[key]; !ok {
			at[key] = p.Shape(first.Raw).Start
		}
	}
	return at
}

// find returns the place of key, or of the nearest thing around it.
func (at positionsByKey) find(key string) unstable.Position {
	for {
		if p, ok := at[key]; ok {
			return p
		}
		i := strings.LastIndexByte(key, '.')
		if i < 0 {
			break
		}
		key = key[:i]
	}
	for k, p := range at {
		if strings.HasPrefix(k, key+".") {
			return p
		}
	}
	return unstable.Position{Line: 1, Column: 1}
}
