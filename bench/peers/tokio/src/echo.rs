// SPDX-License-Identifier: MIT

//! The echo server: a task for each connection.

use crate::fail;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

async fn echo(mut stream: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 16 << 10];

    stream.set_nodelay(true)?;
    loop {
        let n = stream.read(&mut buffer).await?;
        if n == 0 {
            return Ok(());
        }
        stream.write_all(&buffer[..n]).await?;
    }
}

async fn listen() -> std::io::Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;

    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(echo(stream));
    }
}

pub async fn serve() {
    if let Err(error) = listen().await {
        fail(error);
    }
}
