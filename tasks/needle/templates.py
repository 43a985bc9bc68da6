"""What a needle says and how it is asked. Data only; `Needle(templates=...)` takes any other relations.

A wording is a prefix to complete and the same question in natural language. A fact in an event wording is its cloze,
a space, the value and a full stop:

    event wording      The access code of {entity} is ___           What is the access code of {entity}?
    question wording   The keypad that unlocks {entity} expects ___ What does the keypad that unlocks {entity} expect?

The event wordings and the question wordings of one relation share no word but those that carry no meaning (a test).
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wording:
    """`cloze` ends where the value starts, without the space; both hold `{entity}` once."""

    cloze: str
    text: str


@dataclass(frozen=True)
class Relation:
    """One attribute of an entity: the values that it can have, how events state it, how else it can be asked."""

    name: str
    values: tuple[str, ...]
    events: tuple[Wording, ...]
    questions: tuple[Wording, ...]


CODE = ("digits", "words", "uuid")
DATE = ("date",)

RELATIONS: tuple[Relation, ...] = (
    Relation(
        "access code",
        CODE,
        (
            Wording("The access code of {entity} is", "What is the access code of {entity}?"),
            Wording("For {entity} the access code reads", "What does the access code for {entity} read?"),
            Wording("The access code in force at {entity} is", "Which access code is in force at {entity}?"),
        ),
        (
            Wording("To open {entity} one has to type", "What does one have to type to open {entity}?"),
            Wording("The keypad that unlocks {entity} expects", "What does the keypad that unlocks {entity} expect?"),
            Wording(
                "The door of {entity} yields to whoever enters", "What must one enter before {entity} lets one in?"
            ),
        ),
    ),
    Relation(
        "call sign",
        CODE,
        (
            Wording("The call sign of {entity} is", "What is the call sign of {entity}?"),
            Wording("On the radio {entity} uses the call sign", "Which call sign does {entity} use on the radio?"),
            Wording("Operators list {entity} with the call sign", "With which call sign do operators list {entity}?"),
        ),
        (
            Wording("To hail {entity} over the air, say", "What does one say to hail {entity} over the air?"),
            Wording("Transmissions meant for {entity} begin with", "How do transmissions meant for {entity} begin?"),
            Wording(
                "Whoever contacts {entity} by wireless asks for",
                "What does whoever contacts {entity} by wireless ask for?",
            ),
        ),
    ),
    Relation(
        "registry entry",
        CODE,
        (
            Wording("The registry entry of {entity} is", "What is the registry entry of {entity}?"),
            Wording(
                "The land registry keeps {entity} as entry", "As which entry does the land registry keep {entity}?"
            ),
            Wording(
                "Clerks wrote {entity} into the registry as", "As what did clerks write {entity} into the registry?"
            ),
        ),
        (
            Wording("Official papers about {entity} cite", "What do official papers about {entity} cite?"),
            Wording("The government identifies {entity} by", "By what does the government identify {entity}?"),
            Wording("On its certificate {entity} is designated", "How is {entity} designated on its certificate?"),
        ),
    ),
    Relation(
        "alarm password",
        CODE,
        (
            Wording("The alarm password of {entity} is", "What is the alarm password of {entity}?"),
            Wording("At {entity} the alarm takes the password", "Which password does the alarm take at {entity}?"),
            Wording("The password to end an alarm at {entity} is", "What is the password to end an alarm at {entity}?"),
        ),
        (
            Wording("The siren at {entity} falls silent after", "After what does the siren at {entity} fall silent?"),
            Wording(
                "To calm the bell of {entity}, guards recite", "What do guards recite to calm the bell of {entity}?"
            ),
            Wording(
                "Someone who trips the detectors of {entity} must answer",
                "What must someone who trips the detectors of {entity} answer?",
            ),
        ),
    ),
    Relation(
        "inventory label",
        CODE,
        (
            Wording("The inventory label of {entity} is", "What is the inventory label of {entity}?"),
            Wording("Stock lists give {entity} the label", "Which label do stock lists give {entity}?"),
            Wording("In the inventory {entity} has the label", "Which label does {entity} have in the inventory?"),
        ),
        (
            Wording("The sticker on {entity} shows", "What does the sticker on {entity} show?"),
            Wording(
                "Auditors counting property find {entity} marked",
                "How do auditors counting property find {entity} marked?",
            ),
            Wording("The metal plate screwed to {entity} bears", "What does the metal plate screwed to {entity} bear?"),
        ),
    ),
    Relation(
        "insurance policy",
        CODE,
        (
            Wording("The insurance policy of {entity} is", "What is the insurance policy of {entity}?"),
            Wording("Brokers insured {entity} under the policy", "Under which policy did brokers insure {entity}?"),
            Wording("The policy that insures {entity} is", "Which policy insures {entity}?"),
        ),
        (
            Wording("Damage claims about {entity} refer to", "What do damage claims about {entity} refer to?"),
            Wording("If {entity} burns down, quote the contract", "Which contract is quoted if {entity} burns down?"),
            Wording(
                "Cover against the loss of {entity} is filed as", "As what is cover against the loss of {entity} filed?"
            ),
        ),
    ),
    Relation(
        "network key",
        CODE,
        (
            Wording("The network key of {entity} is", "What is the network key of {entity}?"),
            Wording(
                "Laptops at {entity} join with the network key", "With which network key do laptops at {entity} join?"
            ),
            Wording("As network key {entity} uses", "What does {entity} use as network key?"),
        ),
        (
            Wording("Guests of {entity} get online with", "With what do guests of {entity} get online?"),
            Wording("The Wi-Fi in {entity} wants from phones", "What does the Wi-Fi in {entity} want from phones?"),
            Wording(
                "For internet inside {entity}, visitors supply", "What do visitors supply for internet inside {entity}?"
            ),
        ),
    ),
    Relation(
        "delivery reference",
        CODE,
        (
            Wording("The delivery reference of {entity} is", "What is the delivery reference of {entity}?"),
            Wording(
                "Couriers deliver to {entity} under the reference",
                "Under which reference do couriers deliver to {entity}?",
            ),
            Wording(
                "Every delivery to {entity} has the reference", "Which reference does every delivery to {entity} have?"
            ),
        ),
        (
            Wording("Boxes shipped to {entity} are stamped", "How are boxes shipped to {entity} stamped?"),
            Wording(
                "Drivers dropping goods at {entity} mention", "What do drivers dropping goods at {entity} mention?"
            ),
            Wording("Freight bound for {entity} travels as", "As what does freight bound for {entity} travel?"),
        ),
    ),
    Relation(
        "backup tape",
        CODE,
        (
            Wording("The backup tape of {entity} is", "What is the backup tape of {entity}?"),
            Wording("Every night {entity} writes to the tape", "To which tape does {entity} write every night?"),
            Wording("The backup of {entity} lies on the tape", "On which tape does the backup of {entity} lie?"),
        ),
        (
            Wording("After a disk crash, restore {entity} from", "From what is {entity} restored after a disk crash?"),
            Wording("The safety copy made for {entity} was named", "How was the safety copy made for {entity} named?"),
            Wording(
                "Lost files of {entity} can be recovered from", "From what can lost files of {entity} be recovered?"
            ),
        ),
    ),
    Relation(
        "repair ticket",
        CODE,
        (
            Wording("The repair ticket of {entity} is", "What is the repair ticket of {entity}?"),
            Wording("Mechanics repair {entity} under the ticket", "Under which ticket do mechanics repair {entity}?"),
            Wording("The ticket for repair work at {entity} is", "What is the ticket for repair work at {entity}?"),
        ),
        (
            Wording("The broken parts at {entity} are tracked as", "As what are the broken parts at {entity} tracked?"),
            Wording(
                "The fault reported for {entity} is handled as", "As what is the fault reported for {entity} handled?"
            ),
            Wording(
                "Technicians who fix {entity} book their hours on",
                "On what do technicians who fix {entity} book their hours?",
            ),
        ),
    ),
    Relation(
        "inspection date",
        DATE,
        (
            Wording("The inspection of {entity} is due on", "When is the inspection of {entity} due?"),
            Wording(
                "The inspector's visit to {entity} is set for", "For when is the inspector's visit to {entity} set?"
            ),
            Wording("For {entity} the inspection date is", "What is the inspection date for {entity}?"),
        ),
        (
            Wording("Officials are going to examine {entity} on", "When are officials going to examine {entity}?"),
            Wording(
                "The safety check of {entity} takes place on", "When does the safety check of {entity} take place?"
            ),
            Wording("Experts will look over {entity} on", "When will experts look over {entity}?"),
        ),
    ),
    Relation(
        "grand opening",
        DATE,
        (
            Wording("The grand opening of {entity} was", "When was the grand opening of {entity}?"),
            Wording("The ceremony that opened {entity} was on", "When was the ceremony that opened {entity}?"),
            Wording("The public opening of {entity} was set for", "For when was the public opening of {entity} set?"),
        ),
        (
            Wording("People were first admitted to {entity} on", "When were people first admitted to {entity}?"),
            Wording("The ribbon in front of {entity} was cut on", "When was the ribbon in front of {entity} cut?"),
            Wording("The mayor inaugurated {entity} on", "When did the mayor inaugurate {entity}?"),
        ),
    ),
    Relation(
        "end of the lease",
        DATE,
        (
            Wording("The lease of {entity} expires on", "When does the lease of {entity} expire?"),
            Wording("The lease signed for {entity} ends on", "When does the lease signed for {entity} end?"),
            Wording("For {entity} the lease runs until", "Until when does the lease run for {entity}?"),
        ),
        (
            Wording("The tenant has to leave {entity} by", "By when does the tenant have to leave {entity}?"),
            Wording("Rent for {entity} is paid up to", "Up to when is rent for {entity} paid?"),
            Wording("The landlord takes back {entity} on", "When does the landlord take back {entity}?"),
        ),
    ),
    Relation(
        "date of sale",
        DATE,
        (
            Wording("The sale of {entity} was closed on", "When was the sale of {entity} closed?"),
            Wording("The bill of sale of {entity} is dated", "When is the bill of sale of {entity} dated?"),
            Wording("The seller of {entity} signed on", "When did the seller of {entity} sign?"),
        ),
        (
            Wording("Ownership of {entity} passed on", "When did ownership of {entity} pass?"),
            Wording("The new proprietor acquired {entity} on", "When did the new proprietor acquire {entity}?"),
            Wording("Title to {entity} changed hands on", "When did title to {entity} change hands?"),
        ),
    ),
    Relation(
        "date of painting",
        DATE,
        (
            Wording("The painting of {entity} ended on", "When did the painting of {entity} end?"),
            Wording("Painters worked on {entity} until", "Until when did painters work on {entity}?"),
            Wording("The last paint on {entity} dried on", "When did the last paint on {entity} dry?"),
        ),
        (
            Wording(
                "A fresh coat of colour went onto {entity} on", "When did a fresh coat of colour go onto {entity}?"
            ),
            Wording("The walls of {entity} got their shade on", "When did the walls of {entity} get their shade?"),
            Wording("The decorators were done with {entity} on", "When were the decorators done with {entity}?"),
        ),
    ),
)

REMARKS: tuple[str, ...] = (
    "See also {value}.",
    "Compare {value}.",
    "Cf. {value}.",
    "This replaces {value}.",
    "Formerly {value}.",
    "Not to be confused with {value}.",
)
"""Values that belong to nothing: a pattern for digits or dates finds these as well as needles."""
