package main

import (
	"encoding/binary"
	"errors"
	"os"
	"strings"
)

// call is one request and the token to show with it.
type call struct {
	token   string
	request []byte
}

// readCalls reads the requests: for each, little-endian, the number of its token (uint32), its length
// (uint32), and its bytes. Tokens are lines of their own file, counted from 0.
func readCalls(s settings) ([]call, error) {
	text, err := os.ReadFile(s.tokens)
	if err != nil {
		return nil, err
	}
	tokens := strings.Split(strings.TrimSpace(string(text)), "\n")
	data, err := os.ReadFile(s.calls)
	if err != nil {
		return nil, err
	}
	var calls []call
	for len(data) > 0 {
		if len(data) < 8 {
			return nil, errors.New("the file of requests is cut off")
		}
		token, size := binary.LittleEndian.Uint32(data), binary.LittleEndian.Uint32(data[4:])
		data = data[8:]
		if int(token) >= len(tokens) || int(size) > len(data) {
			return nil, errors.New("the file of requests names what is not there")
		}
		calls = append(calls, call{tokens[token], data[:size:size]})
		data = data[size:]
	}
	if len(calls) == 0 {
		return nil, errors.New("the file of requests is empty")
	}
	return calls, nil
}
