# First process of the peer: guest_init.sh CONTROL_DIR
#
# The root file system is that of the host, read-only; a tmpfs overlay takes what
# is written. Only CONTROL_DIR, seen as /ctl inside, is shared both ways.
set -u
control=$1
export PATH=/usr/sbin:/usr/bin:/sbin:/bin
mount -t proc proc /proc
mount -t sysfs sys /sys
modules=/usr/lib/uml/modules/$(uname -r)
insmod "$modules/kernel/fs/overlayfs/overlay.ko"
mount -t tmpfs -o size=75%,mode=755 tmpfs /mnt
mkdir /mnt/upper /mnt/work /mnt/root
root=/mnt/root
mount -t overlay -o lowerdir=/,upperdir=/mnt/upper,workdir=/mnt/work root $root ||
  echo "no overlay"
mkdir -p $root/ctl $root/lib/modules
mount -t hostfs -o "$control" none $root/ctl
ln -s "$modules" $root/lib/modules/
mount -t proc proc $root/proc
mount -t sysfs sys $root/sys
mount -t devtmpfs dev $root/dev
for dir in run tmp var/tmp; do
  mount -t tmpfs -o mode=1777 tmpfs $root/$dir
done
mkdir -p $root/run/lock $root/run/netns $root/dev/pts $root/dev/shm
mount -t devpts devpts $root/dev/pts
mount -t tmpfs tmpfs $root/dev/shm
exec chroot $root /bin/bash /ctl/guest_agent.sh
