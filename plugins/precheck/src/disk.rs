//! `kind = "disk-free"`: the space that is left.

use pipe_checks::{Check, Options, check_settings};
use pipe_sdk::units::Bytes;
use pipe_sdk::{Context, Failure, Finding, disk};

check_settings! {
    /// Looks at the free space of the file system that holds a path. Needs `allow.disk`.
    pub struct DiskFree {
        /// Path, as in the grant.
        #[schemars(length(min = 1))]
        pub path: String,
        /// Least space that an unprivileged user may still fill.
        pub min: Bytes,
    }
}

impl DiskFree {
    fn judge(&self, available: u64) -> Finding {
        let (seen, path) = (Bytes(available), &self.path);
        let message = format!("{seen} free at {path}");
        Finding::expect(available >= self.min.0, message)
            .with_observed(seen)
            .with_expected(format!("at least {}", self.min))
    }
}

impl Check for DiskFree {
    fn options(&self) -> Options {
        self.shared_options()
    }

    fn default_name(&self) -> String {
        format!("disk {}", self.path)
    }

    fn look(&self, _: &Context) -> Result<Finding, Failure> {
        Ok(self.judge(disk::free(&self.path)?.available))
    }
}

#[cfg(test)]
mod tests {
    use pipe_sdk::Status;

    use super::*;

    #[test]
    fn space_is_counted_in_bytes() {
        let check: DiskFree =
            serde_json::from_value(serde_json::json!({ "path": "/", "min": "100GiB" })).expect("settings");
        for (available, status) in
            [(100 << 30, Status::Pass), ((100 << 30) - 1, Status::Fail), (512 << 20, Status::Fail)]
        {
            assert_eq!(check.judge(available).status, status, "{available}");
        }
        assert_eq!(check.judge(3 << 39).message, "1.5 TiB free at /");
    }
}
