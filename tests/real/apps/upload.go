// A client and a worker as Go's net/http makes them.
//
//	upload send URL BYTES TIMES    a POST of so many bytes, so often; writes "STATUS BODY" or "error: ..." for each
//	upload refuse ADDRESS STATUS   a worker that answers every request so, without reading its body
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

type zeros struct{}

func (zeros) Read(data []byte) (int, error) { return len(data), nil }

func number(text string) int64 {
	value, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		panic(err)
	}
	return value
}

func send(url string, size int64) string {
	request, err := http.NewRequest("POST", url, io.LimitReader(zeros{}, size))
	if err != nil {
		panic(err)
	}
	request.ContentLength = size
	client := http.Client{Timeout: 30 * time.Second}
	response, err := client.Do(request)
	if err != nil {
		return "error: " + err.Error()
	}
	defer response.Body.Close()
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return "error: " + err.Error()
	}
	return fmt.Sprintf("%d %q", response.StatusCode, body)
}

func refuse(address string, status int) error {
	network := "tcp"
	if strings.HasPrefix(address, "unix:") {
		network, address = "unix", strings.TrimPrefix(address, "unix:")
	}
	listener, err := net.Listen(network, address)
	if err != nil {
		return err
	}
	return http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		fmt.Fprint(w, "refused")
	}))
}

func main() {
	if os.Args[1] == "refuse" {
		panic(refuse(os.Args[2], int(number(os.Args[3]))))
	}
	for range make([]struct{}, number(os.Args[4])) {
		fmt.Println(send(os.Args[2], number(os.Args[3])))
	}
}
