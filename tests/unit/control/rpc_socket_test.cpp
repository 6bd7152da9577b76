// Who may have the socket path: a live daemon keeps it, a dead one loses it, other files are left
// alone.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <fstream>

#include "rpc_fixture.hpp"

namespace vxplane::control::rpc {
namespace {

bool exists(const std::string& path) {
    return std::filesystem::exists(path);
}

// A socket file that nobody listens on, as a killed daemon leaves it.
void leave_dead_socket(const std::string& path) {
    const int fd = ::socket(AF_UNIX, SOCK_STREAM, 0);
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(&address.sun_path, path.data(), path.size());
    ASSERT_EQ(::bind(fd, reinterpret_cast<const sockaddr*>(&address), sizeof address), 0);
    ASSERT_EQ(::listen(fd, 1), 0);
    ::close(fd);
}

TEST(RpcSocket, RP94_has_mode_0660_whatever_the_umask) {
    const Folder folder;
    for (const mode_t mask : {mode_t{0}, mode_t{0077}, mode_t{0777}}) {
        const mode_t before = ::umask(mask);
        ListenSocket listener;
        const auto problem = listener.open(folder / "s", "");
        ::umask(before);
        ASSERT_FALSE(problem) << *problem;
        struct stat there {};
        ASSERT_EQ(::lstat((folder / "s").c_str(), &there), 0);
        EXPECT_TRUE(S_ISSOCK(there.st_mode));
        EXPECT_EQ(there.st_mode & 07777, 0660U);
    }
    EXPECT_FALSE(exists(folder / "s"));
    EXPECT_FALSE(exists(folder / "s.lock"));
}

TEST(RpcSocket, belongs_to_the_group_that_was_asked_for) {
    if (::geteuid() != 0) GTEST_SKIP() << "only root may give a file away";
    const Folder folder;
    ListenSocket listener;
    for (const auto& [group, number] : {std::pair{"1234", 1234U}, std::pair{"daemon", 1U}}) {
        ASSERT_FALSE(listener.open(folder / "s", group));
        struct stat there {};
        ASSERT_EQ(::lstat((folder / "s").c_str(), &there), 0);
        EXPECT_EQ(there.st_gid, number);
        EXPECT_EQ(there.st_mode & 07777, 0660U);
    }
    const auto problem = listener.open(folder / "s", "no-such-group");
    ASSERT_TRUE(problem);
    EXPECT_EQ(*problem, folder / "s" + ": no group 'no-such-group' for the socket");
    EXPECT_FALSE(exists(folder / "s"));
}

TEST(RpcSocket, a_live_daemon_keeps_its_path_and_is_named) {
    const Folder folder;
    ListenSocket first;
    ASSERT_FALSE(first.open(folder / "s", ""));
    ListenSocket second;
    const auto problem = second.open(folder / "s", "");
    ASSERT_TRUE(problem);
    EXPECT_EQ(*problem, folder / "s" + ": in use by a running daemon (pid " +
                            std::to_string(::getpid()) +
                            "); stop it or choose another socket path");
    second.close();
    EXPECT_TRUE(exists(folder / "s"));
    EXPECT_TRUE(LineClient(folder / "s").connected());
    // The same without the lock file: the listener itself is asked who it is.
    ASSERT_EQ(::unlink((folder / "s.lock").c_str()), 0);
    const auto again = second.open(folder / "s", "");
    ASSERT_TRUE(again);
    EXPECT_EQ(*again, *problem);
    EXPECT_TRUE(LineClient(folder / "s").connected());
}

TEST(RpcSocket, the_path_of_a_dead_daemon_is_taken_over) {
    const Folder folder;
    leave_dead_socket(folder / "s");
    std::ofstream(folder / "s.lock") << "999999\n";
    ListenSocket listener;
    ASSERT_FALSE(listener.open(folder / "s", ""));
    EXPECT_TRUE(LineClient(folder / "s").connected());
}

TEST(RpcSocket, the_path_of_a_killed_process_is_taken_over) {
    const Folder folder;
    std::array<int, 2> ready{};
    ASSERT_EQ(::pipe(ready.data()), 0);
    const pid_t child = ::fork();
    if (child == 0) {
        ListenSocket theirs;
        const char said = theirs.open(folder / "s", "") ? 'n' : 'y';
        if (::write(ready[1], &said, 1) == 1) ::pause();
        ::_exit(0);
    }
    char said = '?';
    ASSERT_EQ(::read(ready[0], &said, 1), 1);
    ::close(ready[0]);
    ::close(ready[1]);
    EXPECT_EQ(said, 'y');
    ListenSocket ours;
    const auto problem = ours.open(folder / "s", "");
    ASSERT_TRUE(problem);
    EXPECT_NE(problem->find("pid " + std::to_string(child)), std::string::npos) << *problem;
    ::kill(child, SIGKILL);
    ::waitpid(child, nullptr, 0);
    EXPECT_TRUE(exists(folder / "s"));
    EXPECT_FALSE(ours.open(folder / "s", ""));
    EXPECT_TRUE(LineClient(folder / "s").connected());
}

TEST(RpcSocket, what_is_not_a_socket_is_left_alone) {
    const Folder folder;
    std::ofstream(folder / "s") << "precious";
    ListenSocket listener;
    const auto problem = listener.open(folder / "s", "");
    ASSERT_TRUE(problem);
    EXPECT_EQ(*problem, folder / "s" + ": exists and is not a socket; not touched");
    EXPECT_EQ(std::filesystem::file_size(folder / "s"), 8U);
    EXPECT_FALSE(exists(folder / "s.lock"));
    // A link is not followed either.
    leave_dead_socket(folder / "dead");
    ASSERT_EQ(::symlink((folder / "dead").c_str(), (folder / "link").c_str()), 0);
    EXPECT_TRUE(listener.open(folder / "link", ""));
    EXPECT_TRUE(exists(folder / "dead"));
}

TEST(RpcSocket, unusable_paths_are_refused_with_their_reason) {
    const Folder folder;
    ListenSocket listener;
    EXPECT_TRUE(listener.open("", ""));
    EXPECT_TRUE(listener.open(folder / std::string(200, 'x'), ""));
    EXPECT_TRUE(listener.open(folder / "no/such/s", ""));
    ASSERT_FALSE(listener.open(folder / "made/s", ""));
    EXPECT_TRUE(exists(folder / "made/s"));
}

TEST(RpcSocket, only_its_own_socket_is_removed_at_the_end) {
    const Folder folder;
    ListenSocket listener;
    ASSERT_FALSE(listener.open(folder / "s", ""));
    ASSERT_EQ(::unlink((folder / "s").c_str()), 0);
    std::ofstream(folder / "s") << "other";
    listener.close();
    EXPECT_TRUE(exists(folder / "s"));
}

TEST(RpcSocket, of_many_that_start_at_once_one_wins) {
    const Folder folder;
    for (int round = 0; round < 20; ++round) {
        leave_dead_socket(folder / "s");
        std::array<ListenSocket, 8> all;
        std::atomic<int> won = 0;
        std::vector<std::thread> threads;
        for (auto& one : all) {
            threads.emplace_back([&] { won += one.open(folder / "s", "") ? 0 : 1; });
        }
        for (auto& thread : threads) thread.join();
        EXPECT_EQ(won, 1);
        EXPECT_TRUE(LineClient(folder / "s").connected());
    }
}

}  // namespace
}  // namespace vxplane::control::rpc
