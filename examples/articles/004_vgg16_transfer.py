"""Article 004: VGG16 learns to tell two kinds of photographs apart.

    python examples/articles/004_vgg16_transfer.py [folder with train/ and validation/]

The article's program with its import lines changed and its faults mended: EarlyStopping's argument
does not parse there, `np` is used and not imported, and predict gets pictures and labels. VGG16's
trained weights are used where their file is at hand; without it the network starts from random
numbers and trains for a few epochs only, which is said. FASTNN_EPOCHS sets how many.
"""

import os
import sys

import numpy as np

import fastnn as tf
from fastnn.applications import VGG16
from fastnn.callbacks import EarlyStopping
from fastnn.optimizers import Adam
from fastnn.preprocessing.image import ImageDataGenerator

DATA = sys.argv[1] if len(sys.argv) > 1 else os.path.join(
    os.environ.get("FASTNN_DATA", "../shared/data"), "photos_daisy_dandelion"
)

# 数据预处理
train_datagen = ImageDataGenerator(
    rescale=1./255,
    shear_range=0.2,
    zoom_range=0.2,
    horizontal_flip=True
)

test_datagen = ImageDataGenerator(rescale=1./255)

train_generator = train_datagen.flow_from_directory(
    f'{DATA}/train',
    target_size=(150, 150),
    batch_size=32,
    class_mode='binary'
)

validation_generator = test_datagen.flow_from_directory(
    f'{DATA}/validation',
    target_size=(150, 150),
    batch_size=32,
    class_mode='binary'
)

# 加载预训练模型
epochs = 100
try:
    model = VGG16(weights='imagenet', include_top=False, input_shape=(150, 150, 3))
except tf.DataError as missing:
    print(f"{missing}\n\nNo trained weights: VGG16 starts from random numbers, for a few epochs only.")
    model = VGG16(weights=None, include_top=False, input_shape=(150, 150, 3))
    epochs = 2
epochs = int(os.environ.get("FASTNN_EPOCHS", epochs))

# 添加全连接层和输出层
x = model.output
x = tf.keras.layers.Flatten()(x)
x = tf.keras.layers.Dense(1024, activation='relu')(x)
predictions = tf.keras.layers.Dense(1, activation='sigmoid')(x)

# 定义模型
model = tf.keras.Model(inputs=model.input, outputs=predictions)

# 编译模型
model.compile(optimizer=Adam(learning_rate=0.0001), loss='binary_crossentropy', metrics=['accuracy'])

# 添加回调函数
early_stopping = EarlyStopping(monitor="val_loss", patience=10)

# 训练模型
history = model.fit(
    train_generator,
    epochs=epochs,
    validation_data=validation_generator,
    callbacks=[early_stopping]
)

# 评估模型
test_loss, test_accuracy = model.evaluate(validation_generator)
print(f"Validation Loss: {test_loss}, Validation Accuracy: {test_accuracy}")

# 预测
pictures, labels = validation_generator[0]
predictions = model.predict(pictures)
predicted_classes = np.where(predictions > 0.5, 1, 0)
print(f"First batch: {(predicted_classes[:, 0] == labels).sum()} of {len(labels)} right")

try:
    import matplotlib.pyplot as plt
except ImportError:
    plt = None
if plt is not None:
    names = sorted(train_generator.class_indices)
    tf.plot.history(history)
    tf.plot.images(
        pictures[:12], [names[c] for c in predicted_classes[:12, 0]],
        wrong=predicted_classes[:12, 0] != labels[:12],
    )
    plt.show()
