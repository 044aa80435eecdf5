"""What the package says to people, in Spanish and in English."""

LANGUAGES = ("es", "en")

_language = "en"


def set_language(language: str) -> None:
    """Choose the language of all that follows. Raises ValueError for one that is not in LANGUAGES."""
    global _language
    if language not in LANGUAGES:
        raise ValueError(message("unknown", what="language", given=language, choices=", ".join(LANGUAGES)))
    _language = language


def language() -> str:
    """The language in force."""
    return _language


def message(key: str, **values: object) -> str:
    """The message of that key in the language in force, with its values filled in."""
    return MESSAGES[key][LANGUAGES.index(_language)].format(**values)


def number(value: float, digits: int) -> str:
    """A number as the language writes it: comma and thin groups in Spanish, point and commas in English."""
    text = f"{value:,.{digits}f}"
    return text.translate(str.maketrans(",.", ".,")) if _language == "es" else text


def percent(share: float, digits: int = 1) -> str:
    """A share (0 to 1) as a percentage."""
    return number(100 * share, digits) + " %"


def clock(seconds: float) -> str:
    """A duration in words: seconds below two minutes, else minutes."""
    return f"{number(seconds, 0)} s" if seconds < 120 else f"{number(seconds / 60, 1)} min"


# key: (Spanish, English)
MESSAGES = {
    # experiments and profiles
    "unknown": (
        "{what} no puede ser {given!r}. Elige entre: {choices}.",
        "{what} cannot be {given!r}. Choose one of: {choices}.",
    ),
    "not_positive_integer": (
        "{name} tiene que ser un entero mayor que cero, y es {given!r}.",
        "{name} has to be a whole number above zero, and it is {given!r}.",
    ),
    "not_positive": (
        "{name} tiene que ser un número mayor que cero, y es {given!r}.",
        "{name} has to be a number above zero, and it is {given!r}.",
    ),
    "not_share": (
        "{name} tiene que estar entre 0 y 1 (sin llegar a 1), y es {given!r}.",
        "{name} has to lie between 0 and 1 (1 excluded), and it is {given!r}.",
    ),
    "damaged_result": (
        "el resultado {path} está dañado ({error})",
        "the result {path} is damaged ({error})",
    ),
    # assets
    "asset_not_fetched": (
        "pip no ha podido descargar {package}: {error}. Comprueba la conexión y el índice de paquetes, y repite.",
        "pip could not download {package}: {error}. Check the connection and the package index, then try again.",
    ),
    "asset_wrong_hash": (
        "{package} no es el fichero esperado: SHA-256 {found}, y debería ser {expected}. No se ha guardado nada. "
        "Si tu índice de paquetes es un espejo, prueba con el oficial.",
        "{package} is not the expected file: SHA-256 {found}, and it should be {expected}. Nothing was kept. "
        "If your package index is a mirror, try the official one.",
    ),
    "asset_incomplete": (
        "A {package} le falta un fichero ({error}). No se ha guardado nada; avisa a quien mantiene el curso.",
        "{package} lacks a file ({error}). Nothing was kept; tell the course's maintainers.",
    ),
    "cache_not_written": (
        "No se puede escribir en la caché {cache}: {error}. Libera espacio o elige otra carpeta con LORALAB_CACHE.",
        "The cache {cache} cannot be written: {error}. Free some space, or choose another folder with LORALAB_CACHE.",
    ),
    "asset_ready": ("{name}: en la caché · {licence}", "{name}: in the cache · {licence}"),
    "hub_not_reached": (
        "No se ha podido traer {name} del hub: {error}. Comprueba la conexión, o usa el perfil cpu.",
        "{name} could not be had from the hub: {error}. Check the connection, or use the cpu profile.",
    ),
    # data
    "row_not_text": (
        "La fila {row} no contiene texto sino {given}. Corrígela o quítala.",
        "Row {row} holds no text but {given}. Mend it or leave it out.",
    ),
    "row_empty": (
        "El texto de la fila {row} está vacío. Corrígelo o quita la fila.",
        "The text of row {row} is empty. Mend it or leave the row out.",
    ),
    "row_bad_label": (
        "La etiqueta de la fila {row} es {given!r}, y hay {classes} clases numeradas desde 0.",
        "The label of row {row} is {given!r}, and there are {classes} classes, numbered from 0.",
    ),
    "split_too_large": (
        "La partición {split} pide {given} ejemplos y solo quedan {available}. Reduce los tamaños.",
        "The {split} split asks for {given} examples and only {available} are left. Make the sizes smaller.",
    ),
    "split_empty": (
        "La partición no tiene ninguna fila: no hay nada que codificar.",
        "The split has no rows: there is nothing to encode.",
    ),
    # tokens
    "max_length_too_large": (
        "max_length es {given}, y el modelo admite {limit} tokens como máximo.",
        "max_length is {given}, and the model takes {limit} tokens at most.",
    ),
    "row_too_long": (
        "La fila {row} tiene {given} tokens, y el modelo admite {limit}. Pon max_length={limit} para recortarla.",
        "Row {row} has {given} tokens, and the model takes {limit}. Set max_length={limit} to cut it.",
    ),
    # models
    "module_unknown": (
        "No hay ningún módulo lineal llamado {given!r}. Los que hay: {choices}.",
        "There is no linear module called {given!r}. There are: {choices}.",
    ),
    "architecture_unknown": (
        "No hay módulos por defecto para la arquitectura {given!r}. Elige tú entre: {choices}.",
        "There are no default modules for the architecture {given!r}. Choose from: {choices}.",
    ),
    "nothing_saved": (
        "En {folder} no hay ni adaptador ni cabeza guardados. Ejecuta antes el experimento con run().",
        "There is no saved adapter or head in {folder}. Run the experiment first, with run().",
    ),
    # running
    "progress": (
        "{name}: paso {step} de {steps}, quedan {left}",
        "{name}: step {step} of {steps}, {left} left",
    ),
    "loaded": (
        "{name}: ya estaba hecho, se carga · exactitud {accuracy} %",
        "{name}: done before, loaded · accuracy {accuracy} %",
    ),
    "trained": (
        "{name}: hecho en {seconds} s · exactitud {accuracy} %",
        "{name}: done in {seconds} s · accuracy {accuracy} %",
    ),
    "resuming": ("{name}: se reanuda desde {checkpoint}", "{name}: resuming from {checkpoint}"),
    "stale_because": ("han cambiado: {what}", "changed since: {what}"),
    "moved_aside": (
        "{name}: {reason}; se aparta en {aside} y se repite",
        "{name}: {reason}; moved to {aside} and run again",
    ),
    "start": (
        "Python {python} · torch {torch} · {device}, {memory} GiB · perfil {profile}",
        "Python {python} · torch {torch} · {device}, {memory} GiB · profile {profile}",
    ),
    # names
    "method_majority": ("clase mayoritaria", "majority class"),
    "method_tfidf": ("TF-IDF + reg. logística", "TF-IDF + logistic reg."),
    "method_frozen": ("congelado + reg. logística", "frozen + logistic reg."),
    "method_head": ("solo la cabeza", "head only"),
    "method_full": ("completo", "full"),
    "method_lora": ("LoRA", "LoRA"),
    # tables
    "accuracy": ("exactitud en test", "test accuracy"),
    "loss": ("pérdida en test", "test loss"),
    "trainable": ("parámetros entrenables", "trainable parameters"),
    "trainable_adapter": ("… de ellos, del adaptador", "… of them in the adapter"),
    "trainable_share": ("% de los parámetros", "% of all parameters"),
    "seconds": ("segundos de entrenamiento", "training seconds"),
    "minutes": ("minutos de entrenamiento", "training minutes"),
    "peak_memory": ("memoria máxima (MiB)", "peak memory (MiB)"),
    "speedup": ("veces más rápido que el completo", "times faster than full"),
    "memory_saved": ("memoria ahorrada frente al completo", "memory saved against full"),
    "test_examples": ("ejemplos de test", "test examples"),
    "seeds": ("semillas", "seeds"),
    "result": ("resultado", "result"),
    "profile": ("perfil", "profile"),
    "seed": ("semilla", "seed"),
    "learning_rate": ("tasa de aprendizaje", "learning rate"),
    "data": ("datos", "data"),
    "code": ("código", "code"),
    "weights": ("pesos", "weights"),
    "device": ("dispositivo", "device"),
    "date": ("fecha", "date"),
    # sentences
    "accuracy_better": (
        "{a} acierta {difference} ± {half} puntos más que {b} en estos {examples} ejemplos (semilla {seed}).",
        "{a} scores {difference} ± {half} points above {b} on these {examples} examples (seed {seed}).",
    ),
    "accuracy_worse": (
        "{a} queda por debajo de {b}: {difference} ± {half} puntos en estos {examples} ejemplos (semilla {seed}).",
        "{a} scores below {b}: {difference} ± {half} points on these {examples} examples (seed {seed}).",
    ),
    "accuracy_cannot_tell": (
        "{a} menos {b}: {difference} ± {half} puntos. Con {examples} ejemplos no se puede decir cuál acierta más.",
        "{a} minus {b}: {difference} ± {half} points. With {examples} examples one cannot tell which is better.",
    ),
    "ranks_cannot_tell": (
        "Ningún rango se distingue de r={first} (alpha={alpha} fijo)",
        "No rank can be told from r={first} (alpha={alpha}, fixed)",
    ),
    "ranks_differ": (
        "Frente a r={first}, en puntos: {apart} (alpha={alpha} fijo)",
        "Against r={first}, in points: {apart} (alpha={alpha}, fixed)",
    ),
    "parameters_sentence": (
        "LoRA entrena {trainable} parámetros, el {share} del total: {adapter} del adaptador y {head} de la cabeza.",
        "LoRA trains {trainable} parameters, {share} of all: {adapter} in the adapter and {head} in the head.",
    ),
    "speed_faster": (
        "LoRA ha entrenado {ratio} veces más rápido, medido una vez y en serie.",
        "LoRA trained {ratio} times faster, timed once and in sequence.",
    ),
    "speed_slower": (
        "LoRA ha entrenado {ratio} veces más despacio, medido una vez y en serie.",
        "LoRA trained {ratio} times slower, timed once and in sequence.",
    ),
    "speed_unclear": (
        "Los tiempos difieren {ratio} veces: con una sola medida no se puede decir cuál es más rápido.",
        "The times differ {ratio} times: one timing of each cannot tell which is faster.",
    ),
    "memory_less": (
        "LoRA ha necesitado un {saved} menos de memoria máxima (medido con: {method}).",
        "LoRA needed {saved} less peak memory (measured by: {method}).",
    ),
    "memory_more": (
        "LoRA ha necesitado un {saved} más de memoria máxima (medido con: {method}).",
        "LoRA needed {saved} more peak memory (measured by: {method}).",
    ),
    "smoke_banner": (
        "Perfil smoke: datos diminutos para probar que todo funciona. Estos números no dicen nada de los métodos.",
        "Smoke profile: tiny data to test that everything runs. These numbers say nothing about the methods.",
    ),
    "interval_note": (
        "± es la mitad del intervalo del 95 % por los ejemplos que le han tocado al test. "
        "No incluye lo que cambiaría con otra semilla.",
        "± is half the 95 % interval for which examples the test happens to hold. "
        "It leaves out what another seed would change.",
    ),
    # figures
    "accuracy_axis": ("exactitud (%)", "accuracy (%)"),
    "test_accuracy_axis": ("exactitud en test (%)", "test accuracy (%)"),
    "exams_axis": ("número de exámenes", "number of exams"),
    "exam_title": (
        "Un mismo modelo, {n} exámenes: notas de {low} a {high}",
        "One model, {n} exams: scores from {low} to {high}",
    ),
    "exam_alt": (
        "Histograma: un modelo que acierta el {truth} saca en {n} exámenes de {examples} preguntas "
        "notas de {low} a {high} en el 95 % central.",
        "Histogram: a model that is right {truth} of the time scores {low} to {high} in the middle 95 % "
        "of {n} exams of {examples} questions.",
    ),
    "pad_fixed": ("hasta {length}", "to {length}"),
    "pad_longest": ("hasta la más larga", "to the longest"),
    "pad_batch": ("por lote", "by batch"),
    "pad_similar": ("por lote, parecidas juntas", "by batch, similar together"),
    "padding_axis": ("tokens que son relleno (%)", "tokens that are padding (%)"),
    "padding_title": (
        "«{worst}» procesa {factor} veces los tokens de «{best}»",
        "“{worst}” processes {factor} times the tokens of “{best}”",
    ),
    "rank_axis": ("rango r", "rank r"),
    "rank_axis_log": ("rango r (escala logarítmica)", "rank r (log scale)"),
    "parameters_axis": ("parámetros de una capa", "parameters of one layer"),
    "counted": ("contados en peft", "counted in peft"),
    "rank_title": (
        "Por encima de r = {crossing}, LoRA supera a su capa de {d_in}×{d_out}",
        "Above r = {crossing}, LoRA outgrows its {d_in}×{d_out} layer",
    ),
    "step_axis": ("paso", "step"),
    "loss_axis": ("pérdida (nats)", "loss (nats)"),
    "training_loss": ("entrenamiento", "training"),
    "validation_loss": ("validación", "validation"),
    "loss_title": (
        "{name}: la mejor validación es la de la época {best} de {epochs} ({loss})",
        "{name}: validation is best after epoch {best} of {epochs} ({loss})",
    ),
    "trainable_axis": ("parámetros entrenables (millones)", "trainable parameters (millions)"),
    "seconds_axis": ("entrenamiento (s)", "training (s)"),
    "memory_axis": ("memoria máxima (MiB)", "peak memory (MiB)"),
    # report
    "report_title": ("LoRA Lab: resultados del perfil {profile}", "LoRA Lab: results of the {profile} profile"),
    "report_comparison": ("Completo frente a LoRA", "Full against LoRA"),
    "report_ranks": ("¿Qué rango?", "Which rank?"),
    "report_training": ("El entrenamiento", "The training"),
    "report_provenance": ("De dónde sale cada número", "Where each number comes from"),
    "report_written": ("informe: results/{path}", "report: results/{path}"),
}
