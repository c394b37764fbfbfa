// SPDX-License-Identifier: MIT

// The echo server: a goroutine for each connection. TCP_NODELAY is Go's default.
package main

import (
	"fmt"
	"net"
)

func echo() {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		fail(err)
	}
	fmt.Println(l.Addr().(*net.TCPAddr).Port)
	for {
		c, err := l.Accept()
		if err != nil {
			fail(err)
		}
		go serve(c)
	}
}

func serve(c net.Conn) {
	buf := make([]byte, 16<<10)

	defer c.Close()
	for {
		n, err := c.Read(buf)
		if err != nil {
			return
		}
		if _, err := c.Write(buf[:n]); err != nil {
			return
		}
	}
}
