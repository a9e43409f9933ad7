//! The programs that run another one, and where in their words that one begins.

use super::script::Via;

/// A program that runs its own operands as a command.
#[derive(Copy, Clone)]
pub(super) struct Wrapper {
    /// Options whose value is the next word, each after a blank.
    pub(super) valued: &'static str,
    /// Operands before the command.
    pub(super) skipped: usize,
    /// `NAME=value` may stand before the command.
    pub(super) takes_assignments: bool,
    /// The operands are joined and given to a shell.
    pub(super) joins: bool,
    /// If there is a `--`, the command stands behind it.
    pub(super) separates: bool,
    pub(super) via: Via,
}

const PLAIN: Wrapper = Wrapper {
    valued: "",
    skipped: 0,
    takes_assignments: false,
    joins: false,
    separates: false,
    via: Via(0),
};

/// A program that runs others behind one of its subcommands.
pub(super) struct Subcommands {
    /// Options before the subcommand whose value is the next word.
    pub(super) valued: &'static str,
    /// The subcommand, a second word if it has one, and what stands behind.
    pub(super) words: &'static [(&'static str, &'static str, Wrapper)],
}

/// The same for a program that only runs others behind some of its first words.
pub(super) fn subcommand(name: &str) -> Option<Subcommands> {
    const NODE: &str = "-p --package -w --workspace --prefix -C --dir --filter -F";
    const RUN: Wrapper = Wrapper { separates: true, ..PLAIN };
    const UV: Wrapper = Wrapper {
        valued: "-p --python --with --extra --group --env-file --directory --project --package --index-url",
        ..PLAIN
    };
    const NODE_RUN: Wrapper = Wrapper { valued: NODE, ..PLAIN };
    const CONDA: Wrapper = Wrapper { valued: "-n --name -p --prefix --cwd", ..PLAIN };
    const PERF: Wrapper = Wrapper { valued: "-e -o -F -p -c --call-graph", ..PLAIN };
    const SKIP: Wrapper = Wrapper { skipped: 1, separates: true, ..PLAIN };
    const JOIN: Wrapper = Wrapper { joins: true, ..PLAIN };
    const TMUX: Wrapper =
        Wrapper { valued: "-s -t -n -c -x -y -F -e -l -p -w -h -b -T", joins: true, ..PLAIN };
    const CONTAINER: Wrapper =
        Wrapper { skipped: 1, separates: true, via: Via::CONTAINER, ..PLAIN };
    let of = |valued, words| Some(Subcommands { valued, words });
    match name {
        "uv" => of("--directory --project", &[("run", "", UV)]),
        "poetry" | "pipenv" | "pdm" | "hatch" | "rye" | "pixi" | "pipx" | "dotenvx" | "op"
        | "doppler" | "infisical" => of("-C --directory -p --project", &[("run", "", RUN)]),
        "pnpm" | "yarn" | "npm" | "bun" => {
            of(NODE, &[("exec", "", NODE_RUN), ("dlx", "", NODE_RUN), ("x", "", NODE_RUN)])
        }
        "bundle" | "rbenv" | "pyenv" | "nodenv" | "asdf" => of("", &[("exec", "", RUN)]),
        "mise" => of("-C --cd", &[("exec", "", SKIP), ("x", "", SKIP)]),
        "direnv" | "aws-vault" => of("", &[("exec", "", SKIP)]),
        "conda" | "mamba" | "micromamba" => of("", &[("run", "", CONDA)]),
        "nix" => of("", &[("develop", "-c", PLAIN), ("shell", "-c", PLAIN)]),
        "git" => of("-C -c", &[("bisect", "run", PLAIN), ("submodule", "foreach", JOIN)]),
        "perf" => of("", &[("record", "", PERF), ("stat", "", PERF), ("trace", "", PERF)]),
        "tmux" => of(
            "-L -S -f -c",
            &[
                ("new-session", "", TMUX),
                ("new", "", TMUX),
                ("new-window", "", TMUX),
                ("neww", "", TMUX),
                ("split-window", "", TMUX),
                ("splitw", "", TMUX),
                ("respawn-pane", "", TMUX),
                ("display-popup", "", TMUX),
                ("run-shell", "", TMUX),
                ("run", "", TMUX),
                ("send-keys", "", TMUX),
                ("send", "", TMUX),
            ],
        ),
        "lxc" | "incus" | "distrobox" | "devcontainer" => {
            of("", &[("exec", "", CONTAINER), ("enter", "", CONTAINER)])
        }
        "heroku" => of("-a --app", &[("run", "", JOIN), ("run:detached", "", JOIN)]),
        "adb" => of("-s -t", &[("shell", "", Wrapper { joins: true, via: Via::SSH, ..PLAIN })]),
        _ => None,
    }
}

/// What is known of the program with this name.
pub(super) fn wrapper(name: &str) -> Option<Wrapper> {
    let plain = |valued| Wrapper { valued, ..PLAIN };
    let skipping = |skipped, valued| Wrapper { valued, skipped, ..PLAIN };
    Some(match name {
        "sudo" => Wrapper {
            valued: "-u -g -h -p -C -r -t -U -D -R -T --user --group --host --prompt --chdir \
                     --chroot --role --type --close-from --command-timeout --other-user",
            takes_assignments: true,
            via: Via::SUDO,
            ..PLAIN
        },
        "doas" => Wrapper { valued: "-u -C -a", via: Via::SUDO, ..PLAIN },
        "runuser" => {
            Wrapper { valued: "-u -g -G --user --group --supp-group", via: Via::SUDO, ..PLAIN }
        }
        "pkexec" => Wrapper { valued: "--user", via: Via::SUDO, ..PLAIN },
        "env" => Wrapper { valued: "-u --unset -C --chdir -P", takes_assignments: true, ..PLAIN },
        "nohup" | "setsid" | "builtin" | "busybox" | "toybox" | "unbuffer" | "dbus-run-session"
        | "catchsegv" | "fakeroot" | "time" | "then" | "-" => plain("-f -o --format --output"),
        "command" => plain(""),
        "systemd-run" => plain(
            "-p -u -E -M -H --unit --property --description --slice --uid --gid --setenv --machine --host",
        ),
        "npx" | "bunx" | "pnpx" | "uvx" => {
            plain("-p --package -w --workspace --prefix --from --with --python")
        }
        "valgrind" | "entr" | "ifne" | "chronic" | "tini" | "dumb-init" | "torsocks"
        | "proxychains" | "proxychains4" => plain(""),
        "gosu" | "su-exec" | "faketime" => skipping(1, ""),
        "gdb" => plain("-ex -x -p -iex --eval-command --command"),
        "proot" | "systemd-nspawn" => plain("-r -b -w -q -D -M -u --directory --machine --user"),
        "watchexec" => plain("-e -w -i -s --exts --watch --ignore --signal"),
        "screen" => plain("-S -c -h -p -s -t -T -e"),
        "wsl" | "wsl.exe" => plain("-d -u --distribution --user --cd"),
        "exec" => plain("-a"),
        "timeout" | "gtimeout" => skipping(1, "-s -k --signal --kill-after"),
        "nice" => plain("-n --adjustment"),
        "ionice" => plain("-c -n -p --class --classdata"),
        "chrt" => skipping(1, "-T -P -D"),
        "taskset" => skipping(1, ""),
        "stdbuf" => plain("-i -o -e --input --output --error"),
        "caffeinate" => plain("-t -w"),
        "strace" | "ltrace" => plain("-e -o -p -s -a -E -u -O -P -S -X -I -b"),
        "chroot" => skipping(1, ""),
        "unshare" | "nsenter" => plain("-t -S -G --target"),
        "firejail" | "bwrap" | "xvfb-run" => plain("-n -s -e"),
        "flock" => skipping(1, "-w -E --timeout --conflict-exit-code"),
        "watch" => Wrapper { joins: true, ..plain("-n -d --interval") },
        "parallel" => Wrapper {
            joins: true,
            via: Via::XARGS,
            ..plain(
                "-j -a -S -N -n -L -I --jobs --arg-file --sshlogin --colsep --joblog --delay --retries",
            )
        },
        "xargs" | "gxargs" => Wrapper {
            via: Via::XARGS,
            ..plain(
                "-I -n -P -L -s -d -E -a -R -J --max-args --max-procs --delimiter --arg-file --max-lines --replace --max-chars",
            )
        },
        "ssh" => Wrapper {
            skipped: 1,
            joins: true,
            via: Via::SSH,
            ..plain("-p -i -l -o -F -L -R -D -J -b -c -E -e -I -m -O -Q -S -W -w -B")
        },
        _ => return None,
    })
}

/// The options with values of what runs a command in a container: `docker exec`, `docker run` …
pub(super) const CONTAINER_OPTIONS: &str = "-e -u -w -v -p -n -c -l -m -h -f -H --env --user --workdir \
     --volume --publish --name --namespace --container --network --net --entrypoint --mount --memory \
     --cpus --hostname --env-file --context --kubeconfig --platform --label --restart --detach-keys \
     --index --file --add-host --device --gpus --pod-running-timeout";

/// Whether the option's value is the next word.
pub(super) fn takes_next(option: &str, valued: &str) -> bool {
    let is_valued = |option: &str| valued.split(' ').any(|it| it == option);
    if option.starts_with("--") || option.len() == 2 {
        return is_valued(option);
    }
    // Letters together: the first that takes a value has what is left of them, or the next word.
    let letters = &option.as_bytes()[1..];
    let is_valued =
        |letter: &u8| valued.split(' ').any(|it| it.len() == 2 && it.as_bytes()[1] == *letter);
    letters.iter().position(is_valued) == Some(letters.len() - 1)
}
