//! The Runtime API with a client in the function's part.

use serde_json::json;

use super::*;

/// A function of this process, which does what its test says.
struct Function {
    client: reqwest::Client,
    invocations: String,
}

impl Function {
    fn of(api: &RuntimeApi) -> Self {
        // One provider for the process; whoever comes second finds it installed.
        let _already_installed = rustls::crypto::ring::default_provider().install_default();
        let environment = HashMap::from(api.environment());
        let address = &environment["AWS_LAMBDA_RUNTIME_API"];
        Self {
            client: reqwest::Client::builder().no_proxy().build().unwrap(),
            invocations: format!("http://{address}/2018-06-01/runtime/invocation"),
        }
    }

    async fn next(&self) -> (String, u128, Value) {
        let next = self.client.get(format!("{}/next", self.invocations)).send().await.unwrap();
        assert_eq!(next.status(), 200);
        let header = |name: &str| next.headers()[name].to_str().unwrap().to_owned();
        assert!(header("lambda-runtime-invoked-function-arn").starts_with("arn:aws:lambda:"));
        assert!(header("lambda-runtime-trace-id").starts_with("Root=1-"));
        let id = header("lambda-runtime-aws-request-id");
        let deadline = header("lambda-runtime-deadline-ms").parse().unwrap();
        (id, deadline, next.json().await.unwrap())
    }

    async fn post(&self, id: &str, to: &str, body: &Value) -> u16 {
        let url = format!("{}/{id}/{to}", self.invocations);
        self.client.post(url).json(body).send().await.unwrap().status().as_u16()
    }

    /// Handles one event by echoing it.
    async fn echo(&self) {
        let (id, _, event) = self.next().await;
        assert_eq!(self.post(&id, "response", &event).await, 202);
    }
}

async fn until_asking(api: &RuntimeApi, functions: usize) {
    let asking = async {
        while api.desk.state.lock().unwrap().asking != functions {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, asking).await.expect("as many functions that ask for work");
}

fn far_deadline() -> SystemTime {
    SystemTime::now() + Duration::from_secs(60)
}

#[tokio::test]
async fn an_event_reaches_the_function_and_its_answer_the_caller() {
    let api = RuntimeApi::start().await;
    let function = Function::of(&api);
    let deadline = UNIX_EPOCH + Duration::from_millis(1_784_030_409_123);
    let (event, answer) = (json!({"rawPath": "/healthz"}), json!({"statusCode": 200}));
    let serve = async {
        let (id, received_deadline, received) = function.next().await;
        assert_eq!((received_deadline, &received), (1_784_030_409_123, &event));
        assert_eq!(function.post(&id, "response", &answer).await, 202);
    };
    let (response, ()) = tokio::join!(api.invoke(&event, deadline), serve);
    assert_eq!(response, Response::Answered(answer));
}

#[tokio::test]
async fn a_function_that_fails_is_told_from_one_that_answers() {
    let api = RuntimeApi::start().await;
    let function = Function::of(&api);
    let failure = json!({"errorType": "panic", "errorMessage": "Lambda panicked: boom"});
    let serve = async {
        let (id, _, _) = function.next().await;
        assert_eq!(function.post(&id, "error", &failure).await, 202);
    };
    let event = json!({});
    let (response, ()) = tokio::join!(api.invoke(&event, far_deadline()), serve);
    assert_eq!(response.over_http(), (502, Vec::new()));
    assert_eq!(response, Response::Failed(failure));
}

#[tokio::test]
async fn events_are_handed_out_once_each_and_in_order() {
    let api = RuntimeApi::start().await;
    let function = Function::of(&api);
    let (first, second) = (json!({"event": 1}), json!({"event": 2}));
    let serve = async {
        let (id_of_first, _, received) = function.next().await;
        assert_eq!(received, first);
        let (id_of_second, _, received) = function.next().await;
        assert_eq!(received, second);
        assert_ne!(id_of_first, id_of_second);
        function.post(&id_of_second, "response", &json!("second")).await;
        function.post(&id_of_first, "response", &json!("first")).await;
    };
    let (of_first, of_second, ()) = tokio::join!(
        api.invoke(&first, far_deadline()),
        api.invoke(&second, far_deadline()),
        serve
    );
    assert_eq!(of_first, Response::Answered(json!("first")));
    assert_eq!(of_second, Response::Answered(json!("second")));
}

#[tokio::test]
async fn functions_that_wait_already_get_the_events_that_come() {
    let api = RuntimeApi::start().await;
    let (one, other) = (Function::of(&api), Function::of(&api));
    let event = json!({"event": 1});
    let call = async {
        until_asking(&api, 2).await;
        let first = api.invoke(&event, far_deadline());
        tokio::join!(first, api.invoke(&event, far_deadline()))
    };
    let (responses, (), ()) = tokio::join!(call, one.echo(), other.echo());
    let expected = || Response::Answered(event.clone());
    assert_eq!(responses, (expected(), expected()));
}

#[tokio::test]
async fn an_answer_to_no_open_event_is_refused() {
    let api = RuntimeApi::start().await;
    let function = Function::of(&api);
    assert_eq!(function.post("no-such-id", "response", &json!({})).await, 400);
    let serve = async {
        let (id, _, _) = function.next().await;
        assert_eq!(function.post(&id, "response", &json!({})).await, 202);
        assert_eq!(function.post(&id, "error", &json!({})).await, 400);
    };
    let event = json!({});
    tokio::join!(api.invoke(&event, far_deadline()), serve);
}

#[tokio::test]
async fn a_function_that_dies_while_it_waits_takes_no_event_with_it() {
    let api = RuntimeApi::start().await;
    let (dying, living) = (Function::of(&api), Function::of(&api));
    tokio::select! {
        _ = dying.next() => panic!("it got an event that nobody put there"),
        () = until_asking(&api, 1) => {}
    }
    until_asking(&api, 0).await;
    let event = json!({"event": 1});
    let (response, ()) = tokio::join!(api.invoke(&event, far_deadline()), living.echo());
    assert_eq!(response, Response::Answered(event));
}

#[tokio::test]
async fn the_first_question_for_work_says_when_the_function_was_ready() {
    let api = RuntimeApi::start().await;
    let function = Function::of(&api);
    let started = Instant::now();
    let event = json!({});
    let first = async { tokio::join!(api.invoke(&event, far_deadline()), function.echo()) };
    let (ready, _) = tokio::join!(api.ready(), first);
    let answered = Instant::now();
    assert!(started <= ready && ready <= answered);
    tokio::join!(api.invoke(&event, far_deadline()), function.echo());
    assert_eq!(api.ready().await, ready, "a later question changes nothing");
}

#[tokio::test]
async fn a_body_in_base64_is_read_as_the_caller_gets_it() {
    let text = Response::Answered(json!({"statusCode": 401, "body": "no"}));
    assert_eq!(text.over_http(), (401, b"no".to_vec()));
    let envelope = json!({"statusCode": 200, "body": "AAH/", "isBase64Encoded": true});
    assert_eq!(Response::Answered(envelope).over_http(), (200, vec![0, 1, 255]));
}

#[tokio::test]
async fn nothing_listens_any_more_when_the_api_is_dropped() {
    let api = RuntimeApi::start().await;
    let address = api.address;
    drop(api);
    let gone = async {
        while tokio::net::TcpStream::connect(address).await.is_ok() {
            tokio::task::yield_now().await;
        }
    };
    timeout(PATIENCE, gone).await.expect("a port that is closed");
}
