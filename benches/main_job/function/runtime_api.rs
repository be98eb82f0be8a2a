//! As much of Lambda's Runtime API as one function with one event needs.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// The time that an invocation may take, as the function is told.
const TIME: Duration = Duration::from_secs(60);

/// A Runtime API on a free port of this machine; it ends with the process.
pub struct RuntimeApi {
    address: SocketAddr,
    asked: Receiver<Instant>,
    events: Sender<String>,
    answers: Receiver<(Instant, String)>,
}

/// The other ends, for the connections.
struct Desk {
    asked: Sender<Instant>,
    events: Mutex<Receiver<String>>,
    answers: Sender<(Instant, String)>,
}

impl RuntimeApi {
    pub fn start() -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free port");
        let address = listener.local_addr().expect("it is bound");
        let ((tell, asked), (events, wait), (answer, answers)) = (channel(), channel(), channel());
        let desk = Arc::new(Desk { asked: tell, events: Mutex::new(wait), answers: answer });
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let desk = Arc::clone(&desk);
                thread::spawn(move || while serve(&stream, &desk).is_some() {});
            }
        });
        Self { address, asked, events, answers }
    }

    /// Returns the variables by which a function finds this API.
    pub fn environment(&self) -> [(&'static str, String); 6] {
        [
            ("AWS_LAMBDA_RUNTIME_API", self.address.to_string()),
            ("AWS_LAMBDA_FUNCTION_NAME", "function".to_owned()),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST".to_owned()),
            ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128".to_owned()),
            ("AWS_LAMBDA_LOG_GROUP_NAME", "/aws/lambda/function".to_owned()),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "invented".to_owned()),
        ]
    }

    /// The time at which the function first asked for work.
    pub fn asked(&self) -> Instant {
        self.asked.recv().expect("the function asks for work")
    }

    /// Hands it the event, and returns after how long it answered 200.
    pub fn invoke(&self, event: &str) -> Duration {
        let begun = Instant::now();
        self.events.send(event.to_owned()).expect("the function waits");
        let (answered, answer) = self.answers.recv().expect("the function answers");
        assert!(answer.contains("\"statusCode\":200"), "{answer}");
        answered.duration_since(begun)
    }
}

/// Serves one request of a connection that is kept.
fn serve(stream: &TcpStream, desk: &Desk) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).ok().filter(|length| *length > 0)?;
    let mut length = 0;
    loop {
        let mut header = String::new();
        reader.read_line(&mut header).ok()?;
        match header.trim().to_ascii_lowercase().split_once(": ") {
            Some(("content-length", value)) => length = value.parse().ok()?,
            Some(_) => {}
            None => break,
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).ok()?;
    if line.starts_with("GET ") {
        desk.asked.send(Instant::now()).ok()?;
        let event = desk.events.lock().ok()?.recv().ok()?;
        let deadline = (SystemTime::now() + TIME).duration_since(UNIX_EPOCH).ok()?.as_millis();
        let head = format!(
            "lambda-runtime-aws-request-id: 00000000-0000-4000-8000-000000000001\r\n\
             lambda-runtime-deadline-ms: {deadline}\r\n\
             lambda-runtime-invoked-function-arn: arn:aws:lambda:eu-central-1:123456789012:function:function\r\n"
        );
        answer(stream, "200 OK", &head, &event)
    } else {
        desk.answers.send((Instant::now(), String::from_utf8_lossy(&body).into_owned())).ok()?;
        answer(stream, "202 Accepted", "", "")
    }
}

fn answer(mut stream: &TcpStream, status: &str, head: &str, body: &str) -> Option<()> {
    let length = body.len();
    let text = format!(
        "HTTP/1.1 {status}\r\ncontent-type: application/json\r\n{head}content-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(text.as_bytes()).ok()
}
