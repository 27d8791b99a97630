//! The functions of `wasi:filesystem`, each one decided by the fence and then done by wasmtime.

use std::fs::File;

use pipe_effects::files::{self, How, Opened};
use wasmtime::component::Resource;
use wasmtime_wasi::{
    FsPerms, OpenMode,
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

use super::{
    Access, Admitted, FenceView, Links, Place,
    door::directory_of,
    stream::{FileReader, FileWriter},
};

/// Does `$operation` where the fence says.
macro_rules! fenced {
    ($view:ident, $directory:expr, $path:expr, $access:expr, $links:expr, |$admitted:ident| $operation:expr) => {{
        let $admitted = $view.admit(&$directory, &$path, $access, $links).await?;
        $operation.await
    }};
}

impl preopens::Host for FenceView<'_> {
    fn get_directories(&mut self) -> wasmtime::Result<Vec<(Resource<Descriptor>, String)>> {
        let nowhere = directory_of(File::open(&self.fence.nowhere)?, false);
        let nowhere = (Descriptor::Dir(nowhere), "/".to_owned(), Place::Nowhere);
        let doors = self.fence.doors.iter().filter_map(|door| {
            let place = Place::Granted { host: door.host.clone(), writable: door.writable };
            Some((door.preopened()?, door.guest.clone(), place))
        });
        let mut directories = Vec::new();
        for (descriptor, name, place) in std::iter::once(nowhere).chain(doors) {
            let handle = self.inner.table.push(descriptor)?;
            self.fence.places.insert(handle.rep(), place);
            directories.push((handle, name));
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
        let admitted = self.admit(&directory, &path, access, path_flags.into()).await?;
        let opened = self.open_admitted(&admitted, path_flags, open_flags, flags).await?;
        let place = Place::Granted { host: admitted.host, writable: admitted.writable };
        self.fence.places.insert(opened.rep(), place);
        Ok(opened)
    }

    fn drop(&mut self, descriptor: Resource<Descriptor>) -> wasmtime::Result<()> {
        self.fence.places.remove(&descriptor.rep());
        HostDescriptor::drop(&mut self.inner, descriptor)
    }

    async fn create_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Write, Links::Kept, |to| {
            self.inner.create_directory_at(to.directory(), to.path)
        })
    }

    async fn stat_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        fenced!(self, directory, path, Access::Read, path_flags.into(), |to| {
            self.inner.stat_at(to.directory(), to.flags(path_flags), to.path)
        })
    }

    async fn set_times_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
        access_time: NewTimestamp,
        change_time: NewTimestamp,
    ) -> FsResult<()> {
        fenced!(self, directory, path, Access::Write, path_flags.into(), |to| {
            self.inner.set_times_at(to.directory(), to.flags(path_flags), to.path, access_time, change_time)
        })
    }

    async fn readlink_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<String> {
        fenced!(self, directory, path, Access::Read, Links::Kept, |to| self.inner.readlink_at(to.directory(), to.path))
    }

    async fn remove_directory_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Name, Links::Kept, |to| {
            self.inner.remove_directory_at(to.directory(), to.path)
        })
    }

    async fn unlink_file_at(&mut self, directory: Resource<Descriptor>, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Name, Links::Kept, |to| self
            .inner
            .unlink_file_at(to.directory(), to.path))
    }

    async fn symlink_at(&mut self, directory: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        fenced!(self, directory, path, Access::Name, Links::Kept, |to| {
            self.inner.symlink_at(to.directory(), target, to.path)
        })
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
        let old = self.admit(&directory, &old_path, Access::Name, Links::Kept).await?;
        let new = self.admit(&new_directory, &new_path, Access::Name, Links::Kept).await?;
        self.inner.link_at(old.directory(), path_flags, old.path, Resource::new_borrow(new.directory), new.path).await
    }

    async fn rename_at(
        &mut self,
        directory: Resource<Descriptor>,
        old_path: String,
        new_directory: Resource<Descriptor>,
        new_path: String,
    ) -> FsResult<()> {
        let old = self.admit(&directory, &old_path, Access::Name, Links::Kept).await?;
        let new = self.admit(&new_directory, &new_path, Access::Name, Links::Kept).await?;
        self.inner.rename_at(old.directory(), old.path, Resource::new_borrow(new.directory), new.path).await
    }

    async fn metadata_hash_at(
        &mut self,
        directory: Resource<Descriptor>,
        path_flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        fenced!(self, directory, path, Access::Read, path_flags.into(), |to| {
            self.inner.metadata_hash_at(to.directory(), to.flags(path_flags), to.path)
        })
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
        // A directory is opened for looking at it, whatever is done with it then.
        if let (Ok(Descriptor::Dir(_)), Some(Place::Granted { host, .. })) =
            (self.inner.table.get(&file), self.fence.places.get(&file.rep()))
        {
            let host = host.clone();
            self.decide(&host, Access::Write).await?;
        }
        self.inner.set_times(file, access, change).await
    }

    async fn read(
        &mut self,
        file: Resource<Descriptor>,
        length: Filesize,
        offset: Filesize,
    ) -> FsResult<(Vec<u8>, bool)> {
        let (bytes, ended) = self.inner.read(file, length, offset).await?;
        self.fence.session.received(bytes.len() as u64).map_err(|_| ErrorCode::Io)?;
        Ok((bytes, ended))
    }

    async fn write(&mut self, file: Resource<Descriptor>, buffer: Vec<u8>, offset: Filesize) -> FsResult<Filesize> {
        self.fence.session.sent(buffer.len() as u64).map_err(|_| ErrorCode::Io)?;
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
        let Descriptor::File(file) = self.inner.table.get(&file)? else { return Err(ErrorCode::IsDirectory.into()) };
        let reader: DynInputStream = Box::new(FileReader::new(file, offset, &self.fence.session));
        Ok(self.inner.table.push(reader)?)
    }

    fn write_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: Filesize,
    ) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&file, Some(offset))
    }

    fn append_via_stream(&mut self, file: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        self.writer(&file, None)
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
    /// A stream that writes from a place on, or always at the end.
    fn writer(&mut self, file: &Resource<Descriptor>, from: Option<Filesize>) -> FsResult<Resource<DynOutputStream>> {
        let Descriptor::File(file) = self.inner.table.get(file)? else { return Err(ErrorCode::BadDescriptor.into()) };
        if file.perms.write_not_permitted() {
            return Err(ErrorCode::NotPermitted.into());
        }
        let writer: DynOutputStream = Box::new(FileWriter::new(file, from, &self.fence.session));
        Ok(self.inner.table.push(writer)?)
    }

    async fn open_admitted(
        &mut self,
        admitted: &Admitted,
        path_flags: PathFlags,
        open_flags: OpenFlags,
        flags: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        let asks_to_sync = DescriptorFlags::FILE_INTEGRITY_SYNC
            | DescriptorFlags::DATA_INTEGRITY_SYNC
            | DescriptorFlags::REQUESTED_WRITE_SYNC;
        if flags.intersects(asks_to_sync) {
            return Err(ErrorCode::Unsupported.into());
        }
        let directory = open_flags.contains(OpenFlags::DIRECTORY);
        if directory && open_flags.intersects(OpenFlags::CREATE | OpenFlags::EXCLUSIVE | OpenFlags::TRUNCATE) {
            return Err(ErrorCode::Invalid.into());
        }
        let flagged = admitted.flags(path_flags);
        self.refuse_special(admitted, flagged).await?;
        let (create, truncate) = (open_flags.contains(OpenFlags::CREATE), open_flags.contains(OpenFlags::TRUNCATE));
        let write = flags.contains(DescriptorFlags::WRITE) || create || truncate;
        let how = How {
            // What is not opened for writing is opened for reading, so that it can be looked at.
            read: flags.contains(DescriptorFlags::READ) || !flags.contains(DescriptorFlags::WRITE),
            write,
            create,
            exclusive: open_flags.contains(OpenFlags::EXCLUSIVE),
            truncate,
            directory,
            follow: flagged.contains(PathFlags::SYMLINK_FOLLOW),
        };
        let Descriptor::Dir(parent) = self.inner.table.get(&admitted.directory())? else {
            return Err(ErrorCode::NotDirectory.into());
        };
        let place = if admitted.single {
            files::Place::Name(&parent.dir, &admitted.path)
        } else {
            files::Place::Below(&parent.dir, &admitted.path)
        };
        let mut mode = OpenMode::empty();
        mode.set(OpenMode::READ, how.read);
        mode.set(OpenMode::WRITE, how.write);
        let opened = match files::open(place, how, &self.fence.session.world.protected)? {
            Opened::Directory(directory) => {
                let mut directory = directory_of(directory, admitted.writable);
                directory.open_mode = mode;
                Descriptor::Dir(directory)
            }
            Opened::File(file) => {
                let perms = if write { FsPerms::ReadWrite } else { FsPerms::ReadOnly };
                Descriptor::File(wasmtime_wasi::filesystem::File::new(file, perms, mode, true))
            }
        };
        Ok(self.inner.table.push(opened)?)
    }
}
