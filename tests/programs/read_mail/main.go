// Command read_mail reads a mail from standard input by Go's own parser and writes its header fields as JSON, so that
// tests see the bytes as a program in another language does.
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/mail"
	"os"
)

func main() {
	read, err := mail.ReadMessage(os.Stdin)
	if err != nil {
		log.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, read.Body); err != nil {
		log.Fatal(err)
	}
	for _, name := range []string{"To", "Cc"} {
		if _, err := read.Header.AddressList(name); err != nil && err != mail.ErrHeaderNotPresent {
			log.Fatal(name, err)
		}
	}
	if err := json.NewEncoder(os.Stdout).Encode(read.Header); err != nil {
		log.Fatal(err)
	}
}
