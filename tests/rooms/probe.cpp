// Stands for a target that depends on one room; only its compile command is used.
int room_probe();
int room_probe() {
    return 0;
}
