"""The course's data files, which install as the package `loralab_data`."""
