//! What must hold of the gateway protocols whatever the bytes are.

use ringcast_codec::{
    Progress,
    gateway::{
        ARGUMENTS_MAX, Action, CommandFault, CommandFrame, Operation, Reply, Request,
        SimpleResponse,
    },
};

/// What decodes is within bounds, encodes to its exact size and means the same
/// again; what does not has a code and a sentence.
pub fn operation(input: &[u8]) {
    match Operation::decode(input) {
        Ok(operation) => {
            if let Action::Subscribe(list) | Action::Unsubscribe(list) = &operation.action {
                assert!((1..=ARGUMENTS_MAX).contains(&list.len()));
            }
            let mut out = vec![0; operation.encoded_len()];
            assert_eq!(operation.encode(&mut out), out.len());
            assert_eq!(Operation::decode(&out), Ok(operation));
        }
        Err(refusal) => reply_fixed_point(&refusal.into()),
    }
}

/// What decodes encodes to its exact size and means the same again.
pub fn reply(input: &[u8]) {
    if let Ok(reply) = Reply::decode(input) {
        reply_fixed_point(&reply);
    }
}

fn reply_fixed_point(reply: &Reply<'_>) {
    let mut out = vec![0; reply.encoded_len()];
    assert_eq!(reply.encode(&mut out), out.len());
    let again = Reply::decode(&out).expect("what was encoded decodes");
    assert_eq!(again, *reply);
}

/// Bodies of command frames. The first byte chooses the command.
pub fn command_body(input: &[u8]) {
    let Some((&choice, body)) = input.split_first() else {
        return;
    };
    let numbers = [1001, 1002, 2001, 2002, 2003, 2004, 3001, 9];
    let command = numbers[usize::from(choice) % numbers.len()];
    let frame = CommandFrame {
        command,
        request: 1,
        body,
    };
    if let Ok(request) = Request::decode(&frame) {
        assert_eq!(request.command().number(), command);
        let mut body = vec![0; request.body_len()];
        assert_eq!(request.encode_body(&mut body), body.len());
        assert_eq!(
            Request::decode(&CommandFrame {
                body: &body,
                ..frame
            }),
            Ok(request)
        );
    }
    if let Ok(response) = SimpleResponse::decode_body(body) {
        let mut out = vec![0; response.frame_len()];
        assert_eq!(response.encode_frame(&frame, &mut out), out.len());
        let Ok(Progress::Done(answer, _)) = CommandFrame::decode(&out, body.len() + 20) else {
            panic!("what was encoded is a frame");
        };
        assert_eq!((answer.command, answer.request), (command, 1));
        assert_eq!(SimpleResponse::decode_body(answer.body), Ok(response));
    }
}

/// A stream of command frames, whole and in pieces. The first byte is the size of
/// the pieces, the second the limit on bodies.
pub fn command_stream(input: &[u8]) {
    let [piece, limit, stream @ ..] = input else {
        return;
    };
    let limit = usize::from(*limit);
    let whole = read_stream([stream], limit);
    let pieces = stream.chunks(usize::from(*piece).max(1));
    assert_eq!(read_stream(pieces, limit), whole);
    let (frames, _, _) = whole;
    let mut at = 0;
    for frame in frames {
        assert_eq!(frame, stream[at..at + frame.len()]);
        at += frame.len();
    }
}

/// The stream's frames, each encoded again; what is left over; how it failed.
fn read_stream<'a>(
    pieces: impl IntoIterator<Item = &'a [u8]>,
    limit: usize,
) -> (Vec<Vec<u8>>, Vec<u8>, Option<CommandFault>) {
    let (mut frames, mut held) = (Vec::new(), Vec::new());
    for piece in pieces {
        held.extend_from_slice(piece);
        loop {
            match CommandFrame::decode(&held, limit) {
                Ok(Progress::Done(frame, consumed)) => {
                    assert!(frame.body.len() <= limit);
                    let mut out = vec![0; frame.encoded_len()];
                    assert_eq!(frame.encode(&mut out), consumed);
                    frames.push(out);
                    held.drain(..consumed);
                }
                Ok(Progress::Partial { needed }) => {
                    assert!(needed > held.len(), "waiting for what is there");
                    break;
                }
                // What follows a fault is never looked at.
                Err(fault) => return (frames, Vec::new(), Some(fault)),
            }
        }
    }
    (frames, held, None)
}
