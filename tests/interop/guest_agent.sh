# Process 1 of the peer after guest_init.sh: sets up eth0, then obeys orders, one a
# line, from the serial port.
#   r ID SECS  runs /ctl/job/ID.sh; leaves ID.out, ID.err and last ID.rc
#   q          powers off
export PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
export HOME=/root LC_ALL=C
unset TERM
cd /

# A vector device pins its checksum and segmentation offloads, and the kernel
# leaves even GRE checksums to such a device. A bridge of one port in front of it
# has none, so each frame is finished in software before it leaves.
set_up_eth0() {
  ip link set lo up
  modprobe ipv6
  modprobe af_packet
  for dir in /proc/sys/net/ipv6/conf/{all,default}; do
    echo 0 > $dir/accept_dad
    echo 0 > $dir/accept_ra
  done
  echo "0 2147483647" > /proc/sys/net/ipv4/ping_group_range
  ip link add eth0 type bridge stp_state 0 forward_delay 0 mcast_snooping 0 \
    ageing_time 0
  ip link set vec0 up
  ip link set eth0 address "$(cat /sys/class/net/vec0/address)"
  echo 1 > /proc/sys/net/ipv6/conf/vec0/disable_ipv6
  ip link set vec0 master eth0
  ethtool -K eth0 tx off tso off gso off sg off > /dev/null
  ip link set eth0 up
  # Without carrier the device drops what it is given.
  for _ in {1..60}; do
    [ "$(< /sys/class/net/eth0/carrier)" = 1 ] && break
    sleep 0.05
  done
}

run_job() { # ID SECS
  setsid timeout -k 2 "$2" bash "/ctl/job/$1.sh" \
    > "/ctl/job/$1.out" 2> "/ctl/job/$1.err" < /dev/null 3<&-
  local code=$?
  sync -f /ctl/job
  echo $code > "/ctl/job/$1.tmp"
  mv "/ctl/job/$1.tmp" "/ctl/job/$1.rc"
}

set_up_eth0 > /ctl/boot.log 2>&1
exec 3<> /dev/ttyS0
stty raw -echo <&3
uname -r > /ctl/ready.tmp
mv /ctl/ready.tmp /ctl/ready
while read -r verb id seconds <&3; do
  case $verb in
    r) run_job "$id" "$seconds" & ;;
    q) break ;;
  esac
done
echo o > /proc/sysrq-trigger
sleep 5
