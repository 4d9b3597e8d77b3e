// Package access decides who may call, and what for.
//
// A Policy is made of the tenants of the configuration and the tokens of a file. It turns what a caller shows (a bearer token, a
// client certificate) into a Caller: a tenant, its rights, and until when. A Policy never changes; a Gate holds the one in force,
// and tells those who hold a Caller when it has been replaced. Nothing here knows of gRPC or HTTP, reads a file, or returns or
// logs a token.
package access
