//! Which file system a path lies on. SQLite's locks and shared memory do not work across a network.

/// File systems whose files are shared over a network, as the kernel names them.
const NETWORK: [&str; 16] = [
    "nfs",
    "nfs4",
    "cifs",
    "smb3",
    "smbfs",
    "afs",
    "ncpfs",
    "ceph",
    "lustre",
    "gpfs",
    "beegfs",
    "glusterfs",
    "fuse.sshfs",
    "fuse.glusterfs",
    "fuse.s3fs",
    "fuse.rclone",
];

/// The type of the network file system that holds an absolute path, read from the text of `/proc/self/mountinfo`
/// (proc(5)); `None` when the path is on a local one.
pub(super) fn network_file_system<'a>(mountinfo: &'a str, path: &str) -> Option<&'a str> {
    let mut best: Option<(usize, &str)> = None;
    for line in mountinfo.lines() {
        // `36 35 98:0 /root /mount/point rw,noatime master:1 - ext3 /dev/root rw`
        let Some((fields, rest)) = line.split_once(" - ") else { continue };
        let (Some(point), Some(kind)) = (fields.split(' ').nth(4), rest.split(' ').next()) else { continue };
        let point = unescape(point);
        let inside = path.strip_prefix(point.trim_end_matches('/'));
        let holds = inside.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        // A later line of the same length is mounted over the earlier one.
        if holds && best.is_none_or(|(length, _)| point.len() >= length) {
            best = Some((point.len(), kind));
        }
    }
    best.map(|(_, kind)| kind).filter(|kind| NETWORK.contains(kind))
}

/// Undoes the kernel's `\040` for a blank, tab, line feed or backslash.
fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        let code = after.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok());
        match (code, after.get(3..)) {
            (Some(code), Some(tail)) => {
                out.push(char::from(code));
                rest = tail;
            }
            _ => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::network_file_system;

    const MOUNTS: &str = "\
21 1 8:1 / / rw - ext4 /dev/sda1 rw
30 21 0:40 / /srv rw - nfs4 filer:/srv rw
31 30 8:2 / /srv/local rw shared:3 - xfs /dev/sdb1 rw
32 21 0:41 / /media/two\\040words rw - cifs //filer/x rw
33 21 0:42 / /over rw - ext4 /dev/sdc rw
34 21 0:43 / /over rw - fuse.sshfs host:/ rw
";

    #[test]
    fn the_longest_and_last_mount_point_decides() {
        let kind = |path| network_file_system(MOUNTS, path);
        assert_eq!(kind("/var/lib"), None);
        assert_eq!(kind("/srv"), Some("nfs4"));
        assert_eq!(kind("/srv/data"), Some("nfs4"));
        assert_eq!(kind("/srvdata"), None);
        assert_eq!(kind("/srv/local/data"), None);
        assert_eq!(kind("/media/two words/a"), Some("cifs"));
        assert_eq!(kind("/over/a"), Some("fuse.sshfs"));
    }
}
