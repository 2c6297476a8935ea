"""How things run: errors, whole files, progress, room on the disk, many cores or a Ray cluster, going on after a kill.

No result depends on what is in here. Uses no other room.
"""
