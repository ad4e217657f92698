package message

type htmlText struct{}

func (h *htmlText) write(dst, src []byte) []byte { return append(dst, src...) }
func (h *htmlText) finish(dst []byte) []byte     { return dst }
