//! The functions of `wasi:filesystem`, each one decided by the fence and then done by wasmtime.

use wasmtime::component::Resource;
use wasmtime_wasi::{
    filesystem::Descriptor,
    p2::{
        DynInputStream, DynOutputStream, FsError, FsResult,
        bindings::filesystem::{
            preopens,
            types::{
                self, Advice, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry, DirectoryEntryStream,
                ErrorCode, Filesize, HostDescriptor, HostDirectoryEntryStream, MetadataHashValue, NewTimestamp,
                OpenFlags, PathFlags,
            },
        },
    },
};

use super::{Access, Admitted, FenceView, Place};

/// Does `$operation` where the fence says; where a link led out of the directory, once more where it leads to.
macro_rules! fenced {
    ($view:ident, $directory:expr, $path:expr, $access:expr, |$d:ident, $p:ident| $operation:expr) => {{
        let admitted = $view.admit(&$directory, &$path, $access).await?;
        let first = {
            let ($d, $p) = (Resource::new_borrow(admitted.directory), admitted.path.clone());
            $operation.await
        };
        match first {
            Ok(done) => Ok((done, admitted)),
            Err(error) => {
                let admitted = $view.after_escape(&admitted, $access, error).await?;
                let ($d, $p) = (Resource::new_borrow(admitted.directory), admitted.path.clone());
                $operation.await.map(|done| (done, admitted))
            }
        }
    }};
}

impl preopens::Host for FenceView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let directories = preopens::Host::get_directories(&mut self.inner)?;
        for (descriptor, name) in &directories {
            let place = match self.fence.doors.iter_mut().find(|door| door.guest == *name) {
                Some(door) => {
                    door.handle = Some(descriptor.rep());
                    Place::Granted { host: door.host.clone(), writable: door.writable }
                }
                None => Place::Nowhere,
            };
            self.fence.places.insert(descriptor.rep(), place);
        }
        Ok(directories)
    }
}

impl types::Host for FenceView<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        self.inner.convert_error_code(error)
    }

    fn filesystem_error_code(&mut self, error: Resource<wasmtime::Error>) -> wasmtime::Result<Option<ErrorCode>> {
        self.inner.filesystem_error_code(error)
    }
}

impl HostDescriptor for FenceView<'_> {
    async fn open_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let changes = flags.intersects(DescriptorFlags::WRITE | DescriptorFlags::MUTATE_DIRECTORY)
            || open_flags.intersects(OpenFlags::CREATE | OpenFlags::TRUNCATE);
        let access = if changes { Access::Write } else { Access::Read };
        let admitted = self.admit(&directory, &path, access).await?;
        let (opened, admitted) = match self.open_admitted(&admitted, path_flags, open_flags, flags).await {
            Ok(opened) => (opened, admitted),
            Err(error) => {
                let admitted = self.after_escape(&admitted, access, error).await?;
                (self.open_admitted(&admitted, path_flags, open_flags, flags).await?, admitted)
            }
        };
        let writable =
            matches!(self.fence.places.get(&admitted.directory), Some(Place::Granted { writable: true, .. }));
        self.fence.places.insert(opened.rep(), Place::Granted { host: admitted.host, writable });
        Ok(opened)
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        let handle = descriptor.rep();
        self.fence.places.remove(&handle);
        for door in &mut self.fence.doors {
            if door.handle == Some(handle) {
                door.handle = None;
            }
        }
        HostDescriptor::drop(&mut self.inner, descriptor)
    }

    async fn create_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Write, |d, p| self.inner.create_directory_at(d, p)).map(|_| ())
    }

    async fn stat_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        fenced!(self, directory, path, Access::Read, |d, p| self.inner.stat_at(d, path_flags, p)).map(|(stat, _)| stat)
    }

    async fn set_times_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        access_time: NewTimestamp,
        change_time: NewTimestamp,
    ) -> FsResult<()> {
        fenced!(self, directory, path, Access::Write, |d, p| {
            self.inner.set_times_at(d, path_flags, p, access_time, change_time)
        })
        .map(|_| ())
    }

    async fn readlink_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<String> {
        fenced!(self, directory, path, Access::Read, |d, p| self.inner.readlink_at(d, p)).map(|(target, _)| target)
    }

    async fn remove_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Write, |d, p| self.inner.remove_directory_at(d, p)).map(|_| ())
    }

    async fn unlink_file_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Write, |d, p| self.inner.unlink_file_at(d, p)).map(|_| ())
    }

    async fn symlink_at(&mut self, directory: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Write, |d, p| self.inner.symlink_at(d, target.clone(), p)).map(|_| ())
    }

    async fn link_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        old_path: String,
        new_directory: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        // A hard link would carry a file that may only be read into a directory that may be written.
        let old = self.admit(&directory, &old_path, Access::Write).await?;
        let new = self.admit(&new_directory, &new_path, Access::Write).await?;
        let (from, to) = (Resource::new_borrow(old.directory), Resource::new_borrow(new.directory));
        self.inner.link_at(from, path_flags, old.path, to, new.path).await
    }

    async fn rename_at(
        &mut self,
        directory: Resource<Descriptor>,
        old_path: String,
        new_directory: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let old = self.admit(&directory, &old_path, Access::Write).await?;
        let new = self.admit(&new_directory, &new_path, Access::Write).await?;
        let (from, to) = (Resource::new_borrow(old.directory), Resource::new_borrow(new.directory));
        self.inner.rename_at(from, old.path, to, new.path).await
    }

    async fn metadata_hash_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        fenced!(self, directory, path, Access::Read, |d, p| self.inner.metadata_hash_at(d, path_flags, p))
            .map(|(hash, _)| hash)
    }

    // What follows acts on a handle that was admitted when it was opened.

    async fn advise(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
        length: Filesize,
        advice: Advice,
    ) -> FsResult<()> {
        self.inner.advise(file, offset, length, advice).await
    }

    async fn sync_data(&mut self, file: Resource<Descriptor>) -> FsResult<()> {
        self.inner.sync_data(file).await
    }

    async fn get_flags(&mut self, file: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        self.inner.get_flags(file).await
    }

    async fn get_type(&mut self, file: Resource<Descriptor>) -> FsResult<DescriptorType> {
        self.inner.get_type(file).await
    }

    async fn set_size(&mut self, file: Resource<Descriptor>, size: Filesize) -> FsResult<()> {
        self.inner.set_size(file, size).await
    }

    async fn set_times(
        &mut self,
        file: Resource<Descriptor>,
        access: NewTimestamp,
        change: NewTimestamp,
    ) -> FsResult<()> {
        self.inner.set_times(file, access, change).await
    }

    async fn read(
        &mut self,
        file: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        self.inner.read(file, length, offset).await
    }

    async fn write(&mut self, file: Resource<Descriptor>, buffer: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        self.inner.write(file, buffer, offset).await
    }

    async fn read_directory(&mut self, file: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        self.inner.read_directory(file).await
    }

    async fn sync(&mut self, file: Resource<Descriptor>) -> FsResult<()> {
        self.inner.sync(file).await
    }

    async fn stat(&mut self, file: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        self.inner.stat(file).await
    }

    fn read_via_stream(&mut self, file: Resource<Descriptor>, offset: Filesize) -> FsResult<Resource<DynInputStream>> {
        self.inner.read_via_stream(file, offset)
    }

    fn write_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.inner.write_via_stream(file, offset)
    }

    fn append_via_stream(&mut self, file: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.inner.append_via_stream(file)
    }

    async fn is_same_object(
        &mut self,
        one: Resource<Descriptor>,
        other: Resource<Descriptor>,
    ) -> wasmtime::Result<bool> {
        self.inner.is_same_object(one, other).await
    }

    async fn metadata_hash(&mut self, file: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        self.inner.metadata_hash(file).await
    }
}

impl HostDirectoryEntryStream for FenceView<'_> {
    async fn read_directory_entry(
        &mut self,
        stream: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        self.inner.read_directory_entry(stream).await
    }

    fn drop(&mut self, stream: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        HostDirectoryEntryStream::drop(&mut self.inner, stream)
    }
}

impl FenceView<'_> {
    async fn open_admitted(
        &mut self,
        admitted: &Admitted,
        path_flags: PathFlags,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        self.refuse_special(admitted, path_flags.contains(PathFlags::SYMLINK_FOLLOW)).await?;
        let directory = Resource::new_borrow(admitted.directory);
        self.inner.open_at(directory, path_flags, admitted.path.clone(), open_flags, flags).await
    }
}
