package message

// Limits on what is interpreted of one message. Beyond them nothing is lost or
// refused: extents stay right, but the rest is not looked into.
const (
	maxHeader         = 1 << 20  // octets of header sections, all parts together
	maxDepth          = 100      // parts within parts, nested messages counted
	maxParts          = 10_000   // parts of one message
	maxBoundary       = 1_000    // octets; RFC 2046 §5.1.1 allows 70
	maxAddresses      = 10_000   // addresses of one header field
	maxCommentDepth   = 50       // comments within comments
	maxParams         = 1_000    // parameters of one header field
	maxContinuations  = 100      // RFC 2231 sections of one parameter
	maxParamValue     = 64 << 10 // octets of one parameter's value
	maxReferences     = 1_000    // message ids kept of References
	maxLanguages      = 100      // tags of Content-Language
	maxPreview        = 200      // characters (RFC 8970 §3.3)
	maxPreviewLook    = 64 << 10 // decoded octets looked at for the preview
	maxFieldName      = 255      // octets of a field name that can mean something to us
	maxCharsetLabel   = 64       // octets
	maxSearchedHeader = 1 << 20  // octets of one header section that a search reads
)
