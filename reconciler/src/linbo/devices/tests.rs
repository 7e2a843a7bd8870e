#![expect(clippy::unwrap_used, clippy::panic, reason = "a test may panic")]

use super::*;

const GOOD: &str = "# room;host;group;mac;ip;office;win;dhcpopts;role;-;pxe;opt;;;comment\n\
    r201;R201-PC01;ubuntu-efi;52:54:00:AA:00:01;10.0.201.1;;;;classroom-studentcomputer;;1;;;;\n\
    \n\
    vm;update-vm;ubuntu-build;bc:24:11:00:10:01;DHCP;;;;;;2;1001;;;agent\n\
    r201;printer;nopxe;-;10.0.201.9;---;---;;printer;;0;;;;\n";

#[test]
fn rows_are_read_in_their_order() {
    let devices = Devices::parse(GOOD.as_bytes());
    assert_eq!(devices.problems(), []);
    let [pc, vm, printer] = devices.rows() else {
        panic!("{devices:?}")
    };
    assert_eq!(
        (pc.host.as_str(), pc.room.as_str(), pc.class.as_str()),
        ("r201-pc01", "r201", "ubuntu-efi")
    );
    assert_eq!(pc.mac.unwrap().to_string(), "52:54:00:aa:00:01");
    assert_eq!(pc.ip, Some(Ipv4Addr::new(10, 0, 201, 1)));
    assert_eq!(
        (vm.ip, vm.pxe, vm.role.as_str()),
        (None, Pxe::LinboOpsi, "classroom-studentcomputer")
    );
    assert_eq!(
        (printer.mac, printer.pxe.is_reset(), printer.role.as_str()),
        (None, false, "printer")
    );
}

#[test]
fn windows_line_ends_and_a_torn_end_change_nothing() {
    let devices = Devices::parse(GOOD.as_bytes());
    assert_eq!(
        Devices::parse(GOOD.replace('\n', "\r\n").as_bytes()),
        devices
    );
    assert_eq!(Devices::parse(GOOD.trim_end().as_bytes()), devices);
    let json = serde_json::to_string(&devices).unwrap();
    assert_eq!(serde_json::from_str::<Devices>(&json).unwrap(), devices);
}

#[test]
fn rooms_classes_and_hosts_are_found() {
    let devices = Devices::parse(GOOD.as_bytes());
    let hosts = |devices: Vec<&Device>| {
        devices
            .iter()
            .map(|d| d.host.to_string())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        hosts(devices.in_room(&"r201".parse().unwrap()).collect()),
        ["r201-pc01", "printer"]
    );
    assert_eq!(
        hosts(devices.of_class(&"ubuntu-build".parse().unwrap()).collect()),
        ["update-vm"]
    );
    assert_eq!(
        devices.in_room(&"R201".parse().unwrap()).count(),
        0,
        "rooms have a case"
    );
    assert_eq!(
        devices.get(&"R201-pc01".parse().unwrap()),
        devices.rows().first(),
        "hosts have none"
    );
    assert_eq!(devices.get(&"r201-pc02".parse().unwrap()), None);
    assert_eq!(devices.rooms().count(), 2);
    assert_eq!(devices.classes().count(), 3);
}

#[test]
fn a_bad_row_is_a_problem_and_no_device() {
    #[track_caller]
    fn check(row: &str, message: &str) {
        let devices = Devices::parse(format!("{GOOD}{row}\n").as_bytes());
        let found = devices
            .problems()
            .iter()
            .any(|p| p.line == 6 && p.message.contains(message));
        assert!(found, "{message}: {:?}", devices.problems());
        assert_eq!(devices.rows().len(), 3);
    }
    let row = |host: &str, mac: &str, ip: &str, pxe: &str| {
        format!("r1;{host};c;{mac};{ip};;;;;;{pxe};;;;")
    };
    check(
        &row("pc9", "52:54:00:00:00:09", "10.0.0.9", "1x"),
        "`1x` is no PXE flag",
    );
    check(
        &row("pc9", "52:54:00:00:00:09", "10.0.0.9", ""),
        "`` is no PXE flag",
    );
    check(
        &row("pc9", "52:54:00:00:00:09", "10.0.0.9", "4"),
        "`4` is no PXE flag",
    );
    check(
        &row("pc_9", "52:54:00:00:00:09", "10.0.0.9", "1"),
        "`pc_9` is no host name",
    );
    check(
        &row("pc-1234567890123", "52:54:00:00:00:09", "10.0.0.9", "1"),
        "at most 15",
    );
    check(
        &row("pc9", "52:54:00:00:00", "10.0.0.9", "1"),
        "no MAC address",
    );
    check(
        &row("pc9", "52:54:00:00:00:0+", "10.0.0.9", "1"),
        "no MAC address",
    );
    check(
        &row("pc9", "52:54:00:00:00:é", "10.0.0.9", "1"),
        "no MAC address",
    );
    check(&row("pc9", "-", "10.0.0.9", "1"), "needs a MAC address");
    check(
        &row("pc9", "52:54:00:00:00:09", "10.0.0.256", "1"),
        "no IPv4 address",
    );
    check(&row("pc9", "52:54:00:00:00:09", "", "1"), "no IPv4 address");
    check(
        &row("r201-PC01", "52:54:00:00:00:09", "10.0.0.9", "1"),
        "the host r201-pc01 stands in line 2 already",
    );
    check(
        &row("pc9", "52-54-00-aa-00-01", "10.0.0.9", "1"),
        "the MAC address 52:54:00:aa:00:01 stands in line 2",
    );
    check(
        &row("pc9", "52:54:00:00:00:09", "10.0.201.1", "1"),
        "the address 10.0.201.1 stands in line 2",
    );
    check("r1;pc9;c;52:54:00:00:00:09;10.0.0.9", "5 columns");
    check(
        " r1;pc9;c;52:54:00:00:00:09;10.0.0.9;;;;;;1",
        "neither a letter nor a digit",
    );
    check(
        "r1;pc9\0;c;52:54:00:00:00:09;10.0.0.9;;;;;;1",
        "is no host name",
    );
    check(
        "r1;pc9;$(x);52:54:00:00:00:09;10.0.0.9;;;;a b;;1",
        "`a b` is no role",
    );
}

#[test]
fn all_problems_of_a_row_are_reported() {
    let devices = Devices::parse(b"r 1;p_c;c;x;y;;;;;;z\n\xff\xfe\n");
    let lines: Vec<usize> = devices
        .problems()
        .iter()
        .map(|problem| problem.line)
        .collect();
    assert_eq!(lines, [1, 1, 1, 1, 1, 2]);
}

#[test]
fn only_the_class_of_the_named_hosts_changes() {
    let text = GOOD
        .replace('\n', "\r\n")
        .replace("agent", "ag\u{e9}nt; \"x\"");
    let written = moved(
        &text,
        &[
            ("Update-VM", "gimp3"),
            ("printer", "nopxe"),
            ("pc77", "gimp3"),
        ],
    );
    assert_eq!(written, text.replace("ubuntu-build", "gimp3"));
    assert_eq!(moved(&text, &[]), text);
}

#[test]
fn a_row_with_a_problem_keeps_its_class() {
    let text = "r1;pc1;c;52:54:00:00:00:01;10.0.0.1;;;;;;1\n\
                r1;PC1;c;52:54:00:00:00:02;10.0.0.2;;;;;;1\n\
                r1;pc2;c;52:54:00:00:00:01;10.0.0.3;;;;;;1\n\
                r1;pc2;c;52:54:00:00:00:04;10.0.0.4;;;;;;1\n";
    let expected = text
        .replace("pc1;c", "pc1;t")
        .replace("pc2;c;52:54:00:00:00:04", "pc2;t;52:54:00:00:00:04");
    assert_eq!(moved(text, &[("pc1", "t"), ("pc2", "t")]), expected);
}

fn moved(text: &str, classes: &[(&str, &str)]) -> String {
    let classes: Vec<(HostName, ClassName)> = classes
        .iter()
        .map(|(host, class)| (host.parse().unwrap(), class.parse().unwrap()))
        .collect();
    let edits = Devices::parse(text.as_bytes()).moved(classes.iter().map(|(h, c)| (h, c)));
    String::from_utf8(edit(text.as_bytes(), &edits)).unwrap()
}

#[test]
fn thousands_of_rows_are_read_at_once() {
    let text: String = (0..5000)
        .map(|n| {
            format!(
                "r{};pc{n};c;52:54:00:00:{:02x}:{:02x};10.0.{}.{};;;;;;1;;;;\n",
                n / 30,
                n / 256,
                n % 256,
                n / 250,
                n % 250
            )
        })
        .collect();
    let devices = Devices::parse(text.as_bytes());
    assert_eq!((devices.rows().len(), devices.problems().len()), (5000, 0));
    assert_eq!(devices.in_room(&"r7".parse().unwrap()).count(), 30);
}
