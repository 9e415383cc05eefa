// A worker that ends at SIGTERM at once, also during a request: rude.py in Go.
//
// Answers with the number of the request (`?id=`) and the length of its body, and notes every POST.
// It listens as its environment says: on a port, on a Unix socket of its own, or on a socket that
// systemd hands over. A POST takes a while, as there.
package main

import (
	"bufio"
	"io"
	"log"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

const takes = 30 * time.Millisecond

var fill = strings.Repeat(".", 20000)

func main() {
	path := filepath.Join(os.Getenv("STATE_DIRECTORY"), "posts")
	notes, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := listen()
	if err != nil {
		log.Fatal(err)
	}
	for {
		connection, err := listener.Accept()
		if err != nil {
			log.Fatal(err)
		}
		go serve(connection, notes)
	}
}

func listen() (net.Listener, error) {
	if os.Getenv("LISTEN_FDS") != "" {
		return net.FileListener(os.NewFile(3, "socket"))
	}
	if path := os.Getenv("WORKER_SOCKET"); path != "" {
		return net.Listen("unix", path)
	}
	return net.Listen("tcp", "127.0.0.1:"+os.Getenv("WORKER_PORT"))
}

// One answer after the other, until the connection ends.
func serve(connection net.Conn, notes *os.File) {
	defer connection.Close()
	reader := bufio.NewReader(connection)
	for {
		target, isPost, length, err := head(reader)
		if err != nil {
			return
		}
		if _, err := io.CopyN(io.Discard, reader, length); err != nil {
			return
		}
		_, identity, _ := strings.Cut(target, "id=")
		if isPost {
			if _, err := notes.WriteString(identity + "\n"); err != nil {
				log.Fatal(err)
			}
			time.Sleep(takes)
		}
		answer := identity + " " + strconv.FormatInt(length, 10) + " " + fill + ".end"
		size := strconv.Itoa(len(answer))
		if _, err := io.WriteString(connection, "HTTP/1.1 200 OK\r\nContent-Length: "+size+"\r\n\r\n"+answer); err != nil {
			return
		}
	}
}

// The head of a request: its target, whether it is a POST, and the length of its body.
func head(reader *bufio.Reader) (target string, isPost bool, length int64, err error) {
	for first := true; ; first = false {
		line, err := reader.ReadString('\n')
		if err != nil {
			return "", false, 0, err
		}
		line = strings.TrimRight(line, "\r\n")
		if line == "" {
			return target, isPost, length, nil
		}
		name, value, _ := strings.Cut(line, ":")
		if words := strings.Fields(line); first && len(words) > 1 {
			target, isPost = words[1], words[0] == "POST"
		} else if strings.EqualFold(name, "Content-Length") {
			length, err = strconv.ParseInt(strings.TrimSpace(value), 10, 64)
			if err != nil {
				return "", false, 0, err
			}
		}
	}
}
