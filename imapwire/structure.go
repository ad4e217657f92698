package imapwire

import (
	"strings"

	"tidemark/imap"
)

// AppendBody appends a body (RFC 9051 §7.5.2): BODYSTRUCTURE if extended, else BODY. It
// recurses as deep as the structure is nested, which its maker has to bound.
func AppendBody(b []byte, s *imap.BodyStructure, extended bool) []byte {
	b = append(b, '(')
	if s.IsMultipart() {
		b = appendMultipart(b, s, extended)
	} else {
		b = appendSinglePart(b, s, extended)
	}
	return append(b, ')')
}

// appendMultipart appends a body-type-mpart.
func appendMultipart(b []byte, s *imap.BodyStructure, extended bool) []byte {
	for _, part := range s.Parts {
		b = AppendBody(b, part, extended)
	}
	b = AppendString(append(b, ' '), s.Subtype)
	if extended {
		b = appendParams(append(b, ' '), s.Params)
		b = appendExtension(b, s)
	}
	return b
}

// appendSinglePart appends a body-type-1part.
func appendSinglePart(b []byte, s *imap.BodyStructure, extended bool) []byte {
	if s.Message != nil && strings.EqualFold(s.Subtype, "global") {
		b = append(b, globalType...)
	} else {
		b = AppendString(b, s.Type)
		b = AppendString(append(b, ' '), s.Subtype)
	}
	b = appendParams(append(b, ' '), s.Params)
	b = AppendNString(append(b, ' '), s.ID)
	b = AppendNString(append(b, ' '), s.Description)
	b = AppendString(append(b, ' '), s.Encoding)
	b = appendUint(append(b, ' '), s.Size)
	if s.Message != nil {
		b = appendMessage(b, s, extended)
	}
	if s.Message != nil || strings.EqualFold(s.Type, "TEXT") {
		b = appendUint(append(b, ' '), s.Lines)
	}
	if extended {
		b = AppendNString(append(b, ' '), s.MD5)
		b = appendExtension(b, s)
	}
	return b
}

// appendMessage appends what a body-type-msg has of the message within.
func appendMessage(b []byte, s *imap.BodyStructure, extended bool) []byte {
	envelope := s.Envelope
	if envelope == nil {
		envelope = &imap.Envelope{}
	}
	b = AppendEnvelope(append(b, ' '), envelope)
	return AppendBody(append(b, ' '), s.Message, extended)
}

// appendExtension appends body-fld-dsp, body-fld-lang and body-fld-loc.
func appendExtension(b []byte, s *imap.BodyStructure) []byte {
	if s.Disposition == nil {
		b = append(b, " NIL"...)
	} else {
		b = AppendString(append(b, " ("...), *s.Disposition)
		b = append(appendParams(append(b, ' '), s.DispositionParams), ')')
	}
	b = appendLanguage(append(b, ' '), s.Language)
	return AppendNString(append(b, ' '), s.Location)
}

func appendLanguage(b []byte, tags []string) []byte {
	switch len(tags) {
	case 0:
		return append(b, "NIL"...)
	case 1:
		return AppendString(b, tags[0])
	}
	for i, tag := range tags {
		sep := byte(' ')
		if i == 0 {
			sep = '('
		}
		b = AppendString(append(b, sep), tag)
	}
	return append(b, ')')
}

func appendParams(b []byte, params []imap.Param) []byte {
	if len(params) == 0 {
		return append(b, "NIL"...)
	}
	for i, p := range params {
		sep := byte(' ')
		if i == 0 {
			sep = '('
		}
		b = AppendString(append(b, sep), p.Name)
		b = AppendString(append(b, ' '), p.Value)
	}
	return append(b, ')')
}
