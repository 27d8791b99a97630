//! A program that tries to leave its fence, for the tests. What it tries is its first argument. It says `done`, with what it
//! saw, or `refused` with the error.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Write as _},
    net::{TcpStream, UdpSocket},
    os::{
        fd::AsRawFd as _,
        linux::net::SocketAddrExt as _,
        unix::{
            fs::{PermissionsExt as _, symlink},
            net::{SocketAddr, UnixDatagram, UnixListener, UnixStream},
            process::CommandExt as _,
        },
    },
    process::Command,
    time::Duration,
};

use nix::{
    mount::{MsFlags, mount},
    sched::{CloneFlags, unshare},
    sys::{
        memfd::{MFdFlags, memfd_create},
        ptrace,
        signal::{Signal, kill},
        socket::{AddressFamily, MsgFlags, SockFlag, SockType, SockaddrIn, sendto, socket, socketpair},
    },
    unistd::Pid,
};

#[expect(clippy::print_stdout, reason = "a program of the tests")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match attempt(&arguments) {
        Ok(seen) => println!("done {seen}"),
        Err(error) => println!("refused {error}"),
    }
}

fn attempt(arguments: &[&str]) -> io::Result<String> {
    let nothing = Ok(String::new());
    match arguments {
        ["read", path] => fs::read_to_string(path).map(|text| text.trim_end().to_owned()),
        ["list", path] => Ok(fs::read_dir(path)?.count().to_string()),
        ["write", path] => fs::write(path, "written").and(nothing),
        ["append", path] => OpenOptions::new().append(true).open(path)?.write_all(b"more").and(nothing),
        ["truncate", path] => nix::unistd::truncate(*path, 0).map_err(io::Error::from).and(nothing),
        ["remove", path] => fs::remove_file(path).and(nothing),
        ["rename", from, to] => fs::rename(from, to).and(nothing),
        ["link", from, to] => fs::hard_link(from, to).and(nothing),
        ["read-through-link", path, link] => {
            symlink(path, link)?;
            fs::read_to_string(link)
        }
        ["chmod", path] => fs::set_permissions(path, fs::Permissions::from_mode(0o666)).and(nothing),
        ["chown", path] => std::os::unix::fs::lchown(path, Some(65534), None).and(nothing),
        ["device", path] => {
            let kind = nix::sys::stat::SFlag::S_IFBLK;
            nix::sys::stat::mknod(*path, kind, nix::sys::stat::Mode::S_IRUSR, nix::libc::makedev(8, 0))?;
            nothing
        }
        ["run", path] => Err(Command::new(path).exec()),
        ["connect", address] => TcpStream::connect(address).and(nothing),
        ["connect-by-sending", port] => {
            let socket = socket(AddressFamily::Inet, SockType::Stream, SockFlag::empty(), None)?;
            let to = SockaddrIn::new(127, 0, 0, 1, number(port)?);
            sendto(socket.as_raw_fd(), b"x", &to, MsgFlags::from_bits_retain(nix::libc::MSG_FASTOPEN))?;
            nothing
        }
        ["listen"] => std::net::TcpListener::bind("127.0.0.1:0").map(drop).and(nothing),
        ["udp", address] => UdpSocket::bind("0.0.0.0:0")?.send_to(b"x", address).map(drop).and(nothing),
        ["family", family] => {
            let family = match *family {
                "netlink" => AddressFamily::Netlink,
                "packet" => AddressFamily::Packet,
                "vsock" => AddressFamily::Vsock,
                _ => AddressFamily::Unix,
            };
            Ok(socket(family, SockType::Raw, SockFlag::empty(), None).map(|_| String::new())?)
        }
        ["unix", path] => UnixStream::connect(path).and(nothing),
        ["abstract", name] => UnixStream::connect_addr(&SocketAddr::from_abstract_name(name)?).and(nothing),
        ["datagram-pair", path] => UnixDatagram::pair()?.0.send_to(b"x", path).map(drop).and(nothing),
        ["pair"] => {
            let pair = socketpair(AddressFamily::Unix, SockType::Stream, None, SockFlag::empty());
            Ok(pair.map(|_| String::new())?)
        }
        ["listen-unix", path] => UnixListener::bind(path).map(drop).and(nothing),
        ["environment", pid] => fs::read(format!("/proc/{pid}/environ")).map(|bytes| bytes.len().to_string()),
        ["processes"] => {
            let numbers =
                fs::read_dir("/proc")?.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
            Ok(numbers.count().to_string())
        }
        ["trace", pid] => ptrace::attach(Pid::from_raw(number(pid)?)).map_err(io::Error::from).and(nothing),
        ["signal", pid] => kill(Pid::from_raw(number(pid)?), Signal::SIGKILL).map_err(io::Error::from).and(nothing),
        ["limit", pid] => {
            let ended = Command::new("prlimit").args(["--pid", pid, "--cpu=1"]).output()?;
            let said = String::from_utf8_lossy(&ended.stderr).trim_end().to_owned();
            if ended.status.success() { nothing } else { Err(io::Error::other(said)) }
        }
        ["namespace"] => unshare(CloneFlags::CLONE_NEWUSER).map_err(io::Error::from).and(nothing),
        ["mount", path] => {
            let none = None::<&str>;
            mount(Some("tmpfs"), *path, Some("tmpfs"), MsFlags::empty(), none)?;
            nothing
        }
        ["privileges"] => {
            let status = fs::read_to_string("/proc/self/status")?;
            Ok(status.lines().filter(|line| line.starts_with("Cap")).collect::<Vec<_>>().join(" ").replace('\t', " "))
        }
        ["memory-file"] => Ok(memfd_create(c"hostile", MFdFlags::empty()).map(|_| String::new())?),
        ["threads", times] => {
            let waiting = || std::thread::sleep(Duration::from_secs(1));
            let threads = (0..number(times)?)
                .map(|_: u32| std::thread::Builder::new().stack_size(64 * 1024).spawn(waiting))
                .collect::<io::Result<Vec<_>>>()?;
            let ended = threads.into_iter().filter_map(|thread| thread.join().ok());
            Ok(ended.count().to_string())
        }
        ["open", times] => {
            let open = (0..number(times)?).map(|_: u32| File::open("/dev/null")).collect::<io::Result<Vec<_>>>()?;
            Ok(open.len().to_string())
        }
        ["spin"] => loop {
            std::hint::spin_loop();
        },
        ["input"] => {
            let mut text = String::new();
            io::stdin().read_to_string(&mut text)?;
            Ok(text)
        }
        _ => Err(io::Error::new(io::ErrorKind::InvalidInput, format!("{arguments:?}"))),
    }
}

fn number<N: std::str::FromStr>(text: &str) -> io::Result<N> {
    text.parse().map_err(|_| io::ErrorKind::InvalidInput.into())
}
