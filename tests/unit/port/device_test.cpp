// Device strings, the look at the machine, and the lock that keeps two daemons apart.
#include "dataplane/port/device.hpp"

#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>

#include "dataplane/port/device_lock.hpp"
#include "lab.hpp"

namespace vxplane::port::test {
namespace {

namespace fs = std::filesystem;

bool contains(const std::string& text, const std::string& part) {
    return text.find(part) != std::string::npos;
}

TEST(Device, understands_pci_addresses_and_vdev_strings) {
    const auto nic = parse_device("0000:3B:00.1,representor=[0]");
    ASSERT_TRUE(nic.ok());
    EXPECT_TRUE(nic->pci);
    EXPECT_EQ(nic->name, "0000:3b:00.1");
    EXPECT_EQ(nic->arguments, "representor=[0]");
    const auto short_form = parse_device("3b:00.1");
    ASSERT_TRUE(short_form.ok());
    EXPECT_EQ(short_form->name, "0000:3b:00.1");
    const auto tap = parse_device("net_tap12,iface=vm1,mac=fixed");
    ASSERT_TRUE(tap.ok());
    EXPECT_FALSE(tap->pci);
    EXPECT_EQ(tap->facts->name, "net_tap");
    EXPECT_EQ(tap->argument("iface"), "vm1");
    EXPECT_EQ(tap->argument("mac"), "fixed");
}

TEST(Device, refuses_unknown_drivers_and_lists_the_known_ones) {
    for (const char* text : {"net_foo0", "eth0", "", "net_tapx", "0000:3b:00.9", "net_tap0 "}) {
        const auto device = parse_device(text);
        ASSERT_FALSE(device.ok()) << text;
        EXPECT_TRUE(contains(device.failure().text, "net_af_packet, net_af_xdp, net_memif"));
    }
}

TEST(Device, two_strings_for_one_device_have_one_lock) {
    const auto key = [](const char* text) { return lock_keys(*parse_device(text)); };
    EXPECT_EQ(key("net_tap0,iface=vm1"), key("net_tap7,mac=fixed,iface=vm1"));
    EXPECT_NE(key("net_tap0,iface=vm1"), key("net_tap0,iface=vm2"));
    EXPECT_EQ(key("3b:00.0"), key("0000:3B:00.0"));
    EXPECT_EQ(key("net_vhost0,iface=/tmp/../tmp/s"), key("net_vhost1,iface=/tmp/s"));
    EXPECT_NE(key("net_memif0,role=server,id=0"), key("net_memif0,role=client,id=0"));
    EXPECT_TRUE(key("net_pcap0,rx_pcap=/tmp/in.pcap").empty());
    EXPECT_EQ(key("net_pcap0,tx_pcap=/tmp/out.pcap").size(), 1U);
    EXPECT_TRUE(key("net_null0").empty());
}

class PciTest : public PortTest {
  protected:
    Outcome check(const std::string& driver) const {
        const fs::path folder = scratch_ / "sys/bus/pci/devices/0000:3b:00.0";
        fs::create_directories(folder);
        if (!driver.empty()) fs::create_symlink("../../drivers/" + driver, folder / "driver");
        return check_device(*parse_device("0000:3b:00.0"), scratch_.string());
    }
};

TEST_F(PciTest, accepts_vfio) {
    EXPECT_TRUE(check("vfio-pci").ok());
}
TEST_F(PciTest, accepts_a_bifurcated_driver) {
    EXPECT_TRUE(check("mlx5_core").ok());
}

TEST_F(PciTest, names_the_kernel_driver_and_the_command) {
    const Outcome outcome = check("ixgbe");
    ASSERT_FALSE(outcome.ok());
    EXPECT_TRUE(contains(outcome.failure().text, "device busy"));
    EXPECT_TRUE(contains(outcome.failure().text, "kernel driver ixgbe"));
    EXPECT_TRUE(contains(outcome.failure().text, "dpdk-devbind.py --bind=vfio-pci 0000:3b:00.0"));
}

TEST_F(PciTest, says_that_no_driver_has_it) {
    const Outcome outcome = check("");
    ASSERT_FALSE(outcome.ok());
    EXPECT_TRUE(contains(outcome.failure().text, "bound to no driver"));
}

TEST(Device, buffers_hold_a_frame_of_the_packet_ring) {
    EXPECT_EQ(mtu_of_buffers("net_tap0", 1500), 1500);
    EXPECT_EQ(mtu_of_buffers("net_af_packet0,iface=a,framesz=10240,blocksz=20480", 9000), 10182);
    EXPECT_EQ(mtu_of_buffers("net_af_packet0,iface=a,framesz=16", 1500), 1500);
    // The buffers that all have fit the ring that all have.
    EXPECT_EQ(packet_data_room(mtu_of_buffers("net_af_packet0,iface=a", 1500)),
              packet_data_room(1500));
}

TEST_F(PciTest, says_that_there_is_no_such_device) {
    EXPECT_TRUE(contains(refusal("ffff:1f:1f.7"), "no PCI device at ffff:1f:1f.7"));
}

using LockTest = PortTest;

TEST_F(LockTest, names_the_process_that_holds_the_device) {
    int ready[2];
    int done[2];
    ASSERT_EQ(::pipe(ready), 0);
    ASSERT_EQ(::pipe(done), 0);
    const pid_t other = ::fork();
    if (other == 0) {
        const auto lock = DeviceLock::take(file("lock"), "net_tap-vm1");
        const char mark = lock.ok() ? 'y' : 'n';
        [[maybe_unused]] ssize_t moved = ::write(ready[1], &mark, 1);
        char wait = 0;
        moved = ::read(done[0], &wait, 1);
        ::_exit(0);
    }
    char mark = 0;
    ASSERT_EQ(::read(ready[0], &mark, 1), 1);
    ASSERT_EQ(mark, 'y');
    const auto refused = DeviceLock::take(file("lock"), "net_tap-vm1");
    const auto unrelated = DeviceLock::take(file("lock"), "net_tap-vm2");
    ASSERT_EQ(::write(done[1], "x", 1), 1);
    ::waitpid(other, nullptr, 0);
    for (const int fd : {ready[0], ready[1], done[0], done[1]}) ::close(fd);

    ASSERT_FALSE(refused.ok());
    EXPECT_TRUE(contains(refused.failure().text, "in use by process " + std::to_string(other)));
    EXPECT_TRUE(unrelated.ok());
    // The process is dead without having released anything.
    EXPECT_TRUE(DeviceLock::take(file("lock"), "net_tap-vm1").ok());
}

TEST_F(LockTest, leaves_no_file_behind) {
    { ASSERT_TRUE(DeviceLock::take(file("lock"), "a/b c").ok()); }
    EXPECT_TRUE(fs::is_empty(file("lock")));
}

TEST_F(LockTest, a_device_has_one_port_at_a_time) {
    const std::string out = file("out.pcap");
    const auto first = started(options("net_pcap0,tx_pcap=" + out));
    ASSERT_NE(first, nullptr);
    const std::string text = refusal("net_pcap1,tx_pcap=" + out);
    EXPECT_TRUE(contains(text, "in use by process " + std::to_string(::getpid()))) << text;
}

TEST_F(LockTest, says_so_when_the_folder_cannot_be_made) {
    std::ofstream{file("plain")} << "x";
    const auto lock = DeviceLock::take(file("plain") + "/lock", "k");
    ASSERT_FALSE(lock.ok());
    EXPECT_TRUE(contains(lock.failure().text, "cannot be made"));
}

}  // namespace
}  // namespace vxplane::port::test
