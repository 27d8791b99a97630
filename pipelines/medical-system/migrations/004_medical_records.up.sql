CREATE TABLE medical_records (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    patient_id uuid NOT NULL REFERENCES patients,
    author_id uuid NOT NULL REFERENCES medical_professionals,
    appointment_id uuid REFERENCES appointments,
    kind text NOT NULL CHECK (kind IN ('note', 'diagnosis', 'prescription', 'laboratory', 'imaging')),
    -- ICD-10, where the record has one.
    code text,
    -- Encrypted by the application with ENCRYPTION_KEY.
    content bytea NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX medical_records_of_patient ON medical_records (patient_id, recorded_at);
