//! The command line. Nothing on it is an error: a hook never fails its agent. What is not an option
//! is an argument of the hook (git hooks get theirs so) and goes into the event.

use crate::process::Strings;

const HELP: &[u8] = b"hookring-emit: hands a hook's event to hookring, exits 0, prints nothing

Usage: hookring-emit [--agent NAME] [--event NAME] [--reply TEXT] [--arg JSON] [-- ARGUMENTS]

The payload is read from stdin to its end, at most 5 s.

  --agent NAME   the agent's name
  --event NAME   the event; goes before what the payload says
  --reply TEXT   write TEXT to stdout, for agents that demand an answer
  --arg JSON     the payload; stdin is not read
  ARGUMENTS      kept in the event, for hooks that get arguments (git)

  HOOKRING_OFF=1             read stdin, give the reply, do nothing else
  HOOKRING_SKIP=EVENT,EVENT  do not publish these events
  HOOKRING_DIR=/DIRECTORY    the one directory for ring and spool

Example, in the settings of Claude Code:
  {\"type\": \"command\", \"command\": \"hookring-emit\", \"args\": [\"--agent\", \"claude-code\"]}
";

const VERSION: &[u8] = concat!("hookring-emit ", env!("CARGO_PKG_VERSION"), "\n").as_bytes();

/// What the command line says.
pub(crate) struct Options<'a> {
    pub(crate) agent: &'a [u8],
    pub(crate) event: &'a [u8],
    pub(crate) reply: Option<&'a [u8]>,
    /// The payload, if it stands on the command line.
    pub(crate) payload: Option<&'a [u8]>,
    /// What to print instead of doing anything.
    pub(crate) print: Option<&'static [u8]>,
    args: Strings,
}

/// One piece of the command line.
enum Piece {
    Agent(&'static [u8]),
    Event(&'static [u8]),
    Reply(&'static [u8]),
    Payload(&'static [u8]),
    Argument(&'static [u8]),
}

/// What a named option makes of its value.
type Kind = fn(&'static [u8]) -> Piece;

impl Options<'_> {
    pub(crate) fn parse(args: Strings) -> Options<'static> {
        let mut options =
            Options { agent: b"", event: b"", reply: None, payload: None, print: None, args };
        for piece in pieces(args) {
            match piece {
                Piece::Agent(name) => options.agent = name,
                Piece::Event(name) => options.event = name,
                Piece::Reply(text) => options.reply = Some(text),
                Piece::Payload(payload) => options.payload = Some(payload),
                Piece::Argument(_) => {}
            }
        }
        options.print = lone_request(args);
        options
    }

    /// The hook's own arguments.
    pub(crate) fn arguments(&self) -> impl Iterator<Item = &'static [u8]> {
        pieces(self.args).filter_map(|piece| match piece {
            Piece::Argument(argument) => Some(argument),
            _ => None,
        })
    }
}

/// `--help` or `--version`, if it is the only argument.
fn lone_request(mut args: Strings) -> Option<&'static [u8]> {
    let text = match args.next()? {
        b"--help" | b"-h" => HELP,
        b"--version" | b"-V" => VERSION,
        _ => return None,
    };
    args.next().is_none().then_some(text)
}

fn pieces(mut args: Strings) -> impl Iterator<Item = Piece> {
    let mut only_arguments = false;
    core::iter::from_fn(move || {
        let mut arg = args.next()?;
        if only_arguments {
            return Some(Piece::Argument(arg));
        }
        if arg == b"--" {
            only_arguments = true;
            arg = args.next()?;
            return Some(Piece::Argument(arg));
        }
        let kinds: [(&[u8], Kind); 4] = [
            (b"--agent", Piece::Agent),
            (b"--event", Piece::Event),
            (b"--reply", Piece::Reply),
            (b"--arg", Piece::Payload),
        ];
        for (name, kind) in kinds {
            match arg.strip_prefix(name) {
                Some(b"") => return Some(args.next().map_or(Piece::Argument(arg), kind)),
                Some([b'=', value @ ..]) => return Some(kind(value)),
                _ => {}
            }
        }
        Some(Piece::Argument(arg))
    })
}
