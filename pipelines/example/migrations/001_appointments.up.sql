CREATE TABLE appointments (
    id INTEGER PRIMARY KEY,
    patient TEXT NOT NULL,
    starts TEXT NOT NULL
);
INSERT INTO appointments (patient, starts) VALUES
    ('synthetic-0001', '2026-12-01T09:00'),
    ('synthetic-0002', '2026-12-01T09:20');
