"""Stage download: from a data set's remotes or from `source` to its raw files.

In: URLs, archives, folders. Out: a checked file in the cache, then the wanted members of it in a folder.
Read `source` (what the parameter may name), `listing` (what it holds), `cache` (one download a machine),
`http` (one connection and its retries), `session` (what a server may not do), `partials` (what it left),
`archives` (nothing leaves the folder), `formats` (zip, tar, folder), `disk` (is there room?), `links`
(yt-dlp) and `playlists`. The data sets call this package. It knows none of them.
"""

from genrepro.download.archives import extract
from genrepro.download.cache import Remote, declared, fetch, remote_of
from genrepro.download.source import is_url, obtain, resolve

__all__ = ["Remote", "declared", "extract", "fetch", "is_url", "obtain", "remote_of", "resolve"]
