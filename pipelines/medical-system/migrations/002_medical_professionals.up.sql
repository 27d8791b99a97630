CREATE TABLE medical_professionals (
    id uuid PRIMARY KEY DEFAULT gen_random_uuid(),
    license_number text NOT NULL UNIQUE,
    family_name text NOT NULL,
    given_name text NOT NULL,
    role text NOT NULL CHECK (role IN ('physician', 'nurse', 'pharmacist', 'therapist', 'technician')),
    specialty text,
    department text NOT NULL,
    active boolean NOT NULL DEFAULT true,
    created_at timestamptz NOT NULL DEFAULT now()
);
